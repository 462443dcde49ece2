"""Results in pieces, for programs that read the end of a file first: HEAD and `Range`, as for Parquet over HTTP.

All pieces must come from the same result, so it is kept for a while. HEAD runs the query; subsequent `Range` requests
are cut from that result.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from clickpipe.concurrency import in_thread
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import EngineError, QueryResult
from clickpipe.query import Answer, HeldResult, failure
from clickpipe.server.context import Caller, instance_of
from clickpipe.server.parameters import header

_RANGE = re.compile(r"bytes=(?P<first>\d{0,18})-(?P<last>\d{0,18})", re.ASCII)


def asks_for_a_piece(request: Request) -> bool:
    """Return whether a request is HEAD, or GET with a `Range`."""
    method = request.method
    return method == "HEAD" or (method == "GET" and bool(header(request, b"range")))


async def piece(
    request: Request, who: Caller, run: Callable[[], Awaitable[Answer]], headers: Mapping[str, str]
) -> Response:
    """Answer HEAD, or a `Range` of a result: 206, 416, or 200 for an invalid range. Raises whatever `run` raises."""
    held = instance_of(request).held
    key = (who.token.reader, request.scope["path"], request.scope["query_string"])
    wanted = _etag(request.headers.get("if-match", "") or request.headers.get("if-range", ""))
    found = None
    if request.method != "HEAD":
        found = held.find(key, wanted) or (held.find(key) if "if-match" not in request.headers else None)
    if found is None:
        found = await _result(run, headers, held.most)
        held.hold(key, found)
    if "if-match" in request.headers and wanted and found.etag != wanted:
        message = "The result has changed in the meantime: request it again from the start."
        raise ClickpipeError(message, status=412, code="changed")
    return _cut(request, found, changed=bool(wanted) and found.etag != wanted)


async def _result(run: Callable[[], Awaitable[Answer]], headers: Mapping[str, str], most: int) -> HeldResult:
    answer = await run()
    try:
        result = await in_thread(_whole, answer.result, most)
    except EngineError as error:
        raise failure(error) from error
    etag = f'"{hashlib.sha256(result.body).hexdigest()[:32]}"'  # of the bytes, as clients combine the pieces
    return HeldResult(result.body, etag, headers)


def _whole(result: QueryResult, most: int) -> QueryResult:
    """Return a result with all of it in its body. Raises ClickpipeError 413 above `most` bytes, EngineError.

    ClickHouse's own limit counts a constant column only once.
    """
    parts = [result.body]
    if result.more is not None:
        size = len(result.body)
        try:
            while (part := result.more.take()) is not None:
                size += len(part)
                if size > most:
                    message = f"The result has more than {most} bytes: request all of it, without Range or HEAD."
                    raise ClickpipeError(message, status=413, code="result_too_large")
                parts.append(part)
        finally:
            result.more.close()
    return replace(result, body=b"".join(parts), more=None)


def _etag(header: str) -> str:
    return header.strip() if header.strip().startswith('"') else ""


def _cut(request: Request, found: HeldResult, *, changed: bool) -> Response:
    size = len(found.body)
    headers = {**found.headers, "Accept-Ranges": "bytes", "ETag": found.etag, "Cache-Control": "private, no-cache"}
    asked = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if request.method == "HEAD" or asked is None or changed or asked.groups() == ("", ""):
        return Response(found.body, headers=headers)
    if not asked["first"]:  # the last bytes
        first, last = max(0, size - int(asked["last"])), size - 1
    else:
        first, last = int(asked["first"]), min(int(asked["last"] or size), size - 1)
        if asked["last"] and int(asked["last"]) < first:
            return Response(found.body, headers=headers)
    if first > last:
        message = f"The result has {size} bytes."
        error = {"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"}
        raise ClickpipeError(message, status=416, code="range_not_satisfiable", headers=error)
    headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    return Response(found.body[first : last + 1], 206, headers)
