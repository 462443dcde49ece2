"""Reads all forms with files (`multipart/form-data`), in time linear in their length."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.requests import Request

from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import is_charset
from clickpipe.server.parameters import limited

_LONGEST = 1_000  # characters of a Content-Type


def is_multipart(request: Request) -> bool:
    """Return whether the body is a multipart form."""
    return request.headers.get("content-type", "").startswith("multipart/form-data")


def charset_of(request: Request) -> str:
    """Return the charset in the Content-Type, or ''."""
    return _options(request).get(b"charset", b"").decode("latin-1")


def _options(request: Request) -> dict[bytes, bytes]:
    given = request.headers.get("content-type", "")
    if len(given) > _LONGEST:
        message = f"The Content-Type is longer than {_LONGEST} characters."
        raise ClickpipeError(message, code="bad_content_type")
    return parse_options_header(given)[1]


@asynccontextmanager
async def multipart(
    request: Request,
    limit: int,
    too_large: ClickpipeError,
    *,
    files: int,
    fields: int,
    part: int = 1 << 20,
    held: bool = True,
) -> AsyncIterator[FormData]:
    """Yield the parts of a form (none for another kind of body); parts that are not files have at most `part` bytes.

    `held` says whether the parts stay in memory: a single large file does not.
    Raises `too_large` for a body of more than `limit` bytes, and ClickpipeError 400 for an unknown charset.
    """
    if not is_multipart(request):
        yield FormData()
        return
    charset = charset_of(request)  # Starlette would accept any of Python's codecs
    if charset and not is_charset(charset):
        message = f"The charset '{charset[:50]}' of the form is unknown: send it in UTF-8."
        raise ClickpipeError(message, code="unknown_charset")
    whole = limited(request, limit, too_large, held=held)
    async with whole.form(max_files=files, max_fields=fields, max_part_size=part) as form:
        yield form
