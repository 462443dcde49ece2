"""The wire format of ClickHouse's HTTP interface: the parts of a request, and errors as its clients read them."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from clickpipe.catalog import without_physical_names
from clickpipe.concurrency import unless_short
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import EngineError
from clickpipe.ingest import decompress
from clickpipe.query import failure
from clickpipe.server.context import instance_of
from clickpipe.server.forms import is_multipart, multipart
from clickpipe.server.framing import unframed
from clickpipe.server.parameters import body_too_large, read_body

TEXT = {"Content-Type": "text/plain; charset=UTF-8"}
_QUERY_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)

# ClickHouse's numbers and names for errors that are found before it is asked.
_CODES = {
    "bad_parameter": (457, "BAD_QUERY_PARAMETER"),
    "body_too_large": (307, "TOO_MANY_BYTES"),
    "broken_body": (271, "CANNOT_DECOMPRESS"),
    "cannot_parse_number": (72, "CANNOT_PARSE_NUMBER"),
    "empty_query": (62, "SYNTAX_ERROR"),
    "forbidden": (497, "ACCESS_DENIED"),
    "not_allowed": (164, "READONLY"),
    "not_deployed": (81, "UNKNOWN_DATABASE"),
    "not_found": (60, "UNKNOWN_TABLE"),
    "readonly": (164, "READONLY"),
    "syntax_error": (62, "SYNTAX_ERROR"),
    "template_error": (62, "SYNTAX_ERROR"),
    "too_many_queries": (202, "TOO_MANY_SIMULTANEOUS_QUERIES"),
    "too_many_requests": (202, "TOO_MANY_SIMULTANEOUS_QUERIES"),
    "unknown_database": (81, "UNKNOWN_DATABASE"),
    "unknown_format": (73, "UNKNOWN_FORMAT"),
    "unknown_setting": (115, "UNKNOWN_SETTING"),
    "unknown_table": (60, "UNKNOWN_TABLE"),
    "unsupported_encoding": (48, "NOT_IMPLEMENTED"),
}
_OTHERWISE = (36, "BAD_ARGUMENTS")
_NO_TOKEN = (516, "AUTHENTICATION_FAILED")
_STATUS = {"UNKNOWN_TABLE": 404, "UNKNOWN_DATABASE": 404}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: its SQL, and its parameters from the URL and the form."""

    sql: str
    params: Mapping[str, str]


async def asked_of(request: Request) -> Asked:
    """Read a request. Raises ClickpipeError: 400 for an unreadable body, 413 for one that is too large."""
    limit = instance_of(request).settings.max_body_bytes
    params = dict(request.query_params)
    if is_multipart(request):
        params |= await _form(request, limit)
        return Asked(params.get("query", ""), params)
    body = await read_body(request, limit)
    encoding = request.headers.get("content-encoding", "").strip().lower()
    unpack = partial(unframed, body, limit) if params.get("decompress") == "1" else None
    body = await unless_short(len(body), unpack or partial(decompress, body, encoding, limit))
    text = "\n".join(filter(None, (params.get("query", ""), body.decode("utf-8", errors="replace"))))
    return Asked(text, params)


async def _form(request: Request, limit: int) -> dict[str, str]:
    # The limit is for all parts together: they are held in memory.
    async with multipart(request, limit, body_too_large(limit), files=1, fields=1_000, part=limit) as form:
        if any(isinstance(value, UploadFile) for value in form.values()):
            message = "External tables (files in the form) are not supported"
            raise ClickpipeError(message, code="unsupported_encoding")
        return {name: str(value) for name, value in form.items()}


def password(request: Request) -> str:
    """Return ClickHouse's password from one of the three places where clients send it."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    if scheme.lower() == "bearer":
        return value.strip()
    return request.headers.get("x-clickhouse-key") or request.query_params.get("password", "")


def general_headers(request: Request) -> dict[str, str]:
    """Return the headers of every response."""
    given = request.query_params.get("query_id", "")
    return {
        "X-ClickHouse-Query-Id": given if _QUERY_ID.fullmatch(given) else request.scope["state"]["request_id"],
        "X-ClickHouse-Timezone": "UTC",
        "X-ClickHouse-Server-Display-Name": "clickpipe",
    }


def error_answer(request: Request, error: ClickpipeError, *, known: bool) -> Response:
    """Return an error in ClickHouse's form; `known` if the caller's token is valid."""
    number, name, message = _parts(error, known=known)
    headers = {**TEXT, **general_headers(request), **error.headers, "X-ClickHouse-Exception-Code": str(number)}
    text = f"Code: {number}. DB::Exception: {message} ({name})\n"
    return Response(text, _STATUS.get(name, error.status), headers)


def _parts(error: ClickpipeError, *, known: bool) -> tuple[int, str, str]:
    message = without_physical_names(error.message).removeprefix("[Error] ").strip()
    code = error.headers.get("X-DB-Exception-Code", "")
    if code:  # ClickHouse's own error, with its name after the message
        name = error.code.upper()
        return int(code), name, _sentence(message.removesuffix(f"({name})"))
    number, name = _CODES.get(error.code, _OTHERWISE) if known else _NO_TOKEN
    return number, name, _sentence(message)


def _sentence(message: str) -> str:
    message = message.strip()
    return message if message.endswith((".", "!", "?")) else f"{message}."


def exception_tag() -> str:
    """Return the marker of an error after the start of a result (`X-ClickHouse-Exception-Tag`)."""
    return secrets.token_hex(8)


def exception_block(error: EngineError, tag: str) -> bytes:
    """Return an error as ClickHouse appends it to rows that are already sent."""
    number, name, message = _parts(failure(error), known=True)
    text = f"Code: {number}. DB::Exception: {message} ({name})\n".encode()
    mark = f"\r\n__exception__\r\n{tag}\r\n".encode()
    return b"%s%s%d %s\r\n__exception__\r\n" % (mark, text, len(text), tag.encode())
