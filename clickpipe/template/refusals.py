"""Errors that authors raise in templates: `error`, `custom_error`."""

from __future__ import annotations

import json
from typing import Any

from clickpipe.template.errors import AuthorError, TemplateError
from clickpipe.template.sandbox import in_json, text, whole

_STATUSES = (200, *range(400, 600))


def error(message: Any = "") -> None:
    """`error('text')`: stop with this message and status 400."""
    raise AuthorError(text(message))


def custom_error(message: Any = "", code: Any = 400) -> None:
    """`custom_error(object, code)`: stop with this JSON object and status."""
    status = whole(code)
    if status not in _STATUSES:
        message = f"custom_error() takes the status 200, or one from {_STATUSES[1]} to {_STATUSES[-1]}"
        raise TemplateError(message)
    payload = None
    if isinstance(message, dict):
        payload = json.loads(json.dumps(message, default=in_json), parse_constant=str)
    raise AuthorError(text(message), status=status, payload=payload)
