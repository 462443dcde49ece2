"""The query API: `GET|POST /v0/sql`."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import EngineError
from clickpipe.query import failure, split_format_clause
from clickpipe.server.context import caller, instance_of, read_body


async def query_sql(request: Request) -> Response:
    """Run one SELECT over what the token may read. `q=`, or the SQL as the body of a POST."""
    who = caller(request)
    text = request.query_params.get("q", "")
    if not text and request.method == "POST":
        body = await read_body(request, instance_of(request).settings.max_body_bytes)
        text = body.decode("utf-8", errors="replace")
    if not text.strip():
        message = "The query parameter 'q' is missing: the SQL to run."
        raise ClickpipeError(message, code="missing_query")
    sql, output = split_format_clause(text)

    def allowed(kind: str, name: str) -> None:
        if kind == "SERVICE":
            who.require("WORKSPACE:READ_ALL")
        else:
            who.require(f"{kind}:READ", name)

    future = await asyncio.to_thread(who.workspace.queries.sql, sql, output, allowed)
    try:
        result = await asyncio.wrap_future(future)
    except EngineError as error:
        raise failure(error) from error
    return Response(result.body, media_type=output.content_type)
