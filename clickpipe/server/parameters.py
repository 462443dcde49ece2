"""Reads requests: parameters from the query string, from a POST's form or JSON object; the body."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping
from functools import lru_cache, partial
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from clickpipe.concurrency import unless_short
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Settings
from clickpipe.query import OUTPUT_SETTINGS

# Sent by published clients with any request, or with their own meaning; never parameters of a pipe.
_NOT_PARAMETERS = {"token", "from", "cli_version", "debug", "release_replacements", "q", "explain", "pipeline"}
_FIELDS = 10_000  # per form
_SHORT = 1_000  # longest query string to cache, in bytes
_YES, _NO = {"1", "true", "yes"}, {"0", "false", "no"}

Values = dict[str, str | list[str]]


def query_values(request: Request) -> Values:
    """Return the query string's parameters; a repeated one as a list."""
    text = request.scope["query_string"]
    return _collected(parse_qsl(text.decode("latin-1"), keep_blank_values=True)) if text else {}


def query(request: Request) -> Mapping[str, str]:
    """Return the query string's parameters; the last value of a repeated one. Cached, as events repeat them."""
    text = request.scope["query_string"]
    return _query(text) if len(text) < _SHORT else dict(parse_qsl(text.decode("latin-1"), keep_blank_values=True))


@lru_cache(maxsize=1_000)
def _query(text: bytes) -> Mapping[str, str]:
    return dict(parse_qsl(text.decode("latin-1"), keep_blank_values=True))


async def posted_values(request: Request) -> Values:
    """Return the parameters of the query string and of a POST's body (form or JSON object), which overrides it.

    Raises ClickpipeError 400 for another body, 413 for one that is too large.
    """
    found = query_values(request)
    if request.method != "POST":
        return found
    body = (await read_body(request, request.app.state.instance.settings.max_body_bytes)).strip()
    return found | await unless_short(len(body), partial(body_values, body, request.headers.get("content-type", "")))


def body_values(body: bytes, content_type: str) -> Values:
    """Return the parameters in a body. Raises ClickpipeError 400 if it is neither a form nor a JSON object."""
    if not body:
        return {}
    if "json" in content_type or body[:1] == b"{":
        return _from_json(body)
    try:
        return _collected(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=_FIELDS))
    except ValueError:
        message = "The body is neither a form (a=1&b=2) nor a JSON object with the parameters."
        raise ClickpipeError(message, code="broken_body") from None


def _from_json(body: bytes) -> Values:
    try:
        document = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        message = 'The body is not a JSON object with the parameters, such as {"limit": 10}.'
        raise ClickpipeError(message, code="broken_body") from None
    return {
        name: [_text(item) for item in value] if isinstance(value, list) else _text(value)
        for name, value in document.items()
        if value is not None
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _collected(pairs: Iterable[tuple[str, str]]) -> Values:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in found.items()}


def of_pipe(values: Values) -> Values:
    """Return only the parameters of a pipe."""
    return {
        name: value
        for name, value in values.items()
        if name not in _NOT_PARAMETERS and name not in OUTPUT_SETTINGS and not name.startswith("__tb__")
    }


def header(request: Request, name: bytes) -> str:
    """Return a header (name in lower case), or ''; `GeneralRules` has parsed them already."""
    return str(request.scope["state"]["given"].get(name, b""), "latin-1")


def one(values: Mapping[str, str | list[str]], name: str) -> str:
    """Return a single parameter: the last value if repeated, '' if absent or an empty list."""
    value = values.get(name) or ""
    return value[-1] if isinstance(value, list) else value


def flag(values: Mapping[str, str | list[str]], name: str) -> bool:
    """Return whether a boolean parameter is true."""
    return one(values, name).lower() in _YES


def output_settings(values: Mapping[str, str | list[str]]) -> Settings:
    """Return the output settings that a caller requests. Raises ClickpipeError 400 unless each is 0 or 1."""
    found: dict[str, int] = {}
    for name in OUTPUT_SETTINGS:
        if name in values:
            text = one(values, name).lower()
            if text not in _YES | _NO:
                message = f"'{name}' must be 0 or 1, not '{text[:100]}'."
                raise ClickpipeError(message, code="bad_parameter")
            found[name] = int(text in _YES)
    return found


async def form_values(request: Request) -> dict[str, str]:
    """Return the fields of a form; {} for another kind of body. Raises ClickpipeError 400 and 413.

    Call it only once, and after checking the token.
    """
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return {}
    body = await read_body(request, request.app.state.instance.settings.max_body_bytes)
    try:
        text = body.decode(errors="replace")
        read = partial(parse_qsl, text, keep_blank_values=True, max_num_fields=_FIELDS)
        return dict(await unless_short(len(body), read))
    except ValueError:
        message = f"The form has more than {_FIELDS} fields."
        raise ClickpipeError(message, code="broken_body") from None


async def form_or_file(request: Request, names: Container[str]) -> tuple[dict[str, str], Request]:
    """Return a form's fields, and the request with a body that can still be read.

    `curl --data-binary @rows.csv` declares its body as a form, too. It counts as one if it starts with one of `names`;
    anything else remains unread, as the file. Raises ClickpipeError 400 and 413, like `form_values`.
    """
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return {}, request
    read: deque[Message] = deque()
    while not read or (not read[-1].get("body") and read[-1].get("more_body")):
        read.append(await request.receive())

    async def receive() -> Message:
        return read.popleft() if read else await request.receive()

    again = Request(request.scope, receive)
    first, equals, _ = read[-1].get("body", b"").partition(b"=")
    if equals and first.decode(errors="replace") in names:
        return await form_values(again), again
    return {}, again


def limited(request: Request, limit: int, too_large: ClickpipeError, *, held: bool = False) -> Request:
    """Return the request, which raises `too_large` when more than `limit` bytes of its body are read.

    If the body stays in memory (`held`), it counts for the connection (`memory.py`).
    """
    size = 0
    count = holding(request) if held else _uncounted

    async def receive() -> Message:
        nonlocal size
        message = await request.receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise too_large
        count(len(message.get("body", b"")))
        return message

    return Request(request.scope, receive)


def body_too_large(limit: int) -> ClickpipeError:
    """Return the error for a body of more than `limit` bytes."""
    message = f"The body is larger than {limit} bytes. Send less at once, or raise max_body_bytes."
    return ClickpipeError(message, status=413, code="body_too_large")


def holding(request: Request) -> Callable[[int], None]:
    """Return the function that counts bytes of a body that stay in memory until the response."""
    found: Callable[[int], None] = request.scope["state"].get("hold", _uncounted)
    return found


def _uncounted(_: int) -> None:
    pass


async def read_body(request: Request, limit: int, count: Callable[[int], None] | None = None) -> bytes:
    """Return the request's body. Raises ClickpipeError 413 above `limit` bytes.

    `count` is called with the bytes as they arrive; by default, they count for the connection (`memory.py`).
    """
    count = count or holding(request)
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise body_too_large(limit)
        count(len(chunk))
        chunks.append(chunk)
        more = message.get("more_body", False)
    return b"".join(chunks)
