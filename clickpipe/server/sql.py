"""The query API: `GET|POST /v0/sql`."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from clickpipe.concurrency import unless_short
from clickpipe.diagnostics import ClickpipeError
from clickpipe.observe import QUERY_API
from clickpipe.query import Answer, split_format_clause
from clickpipe.server.context import caller, instance_of
from clickpipe.server.observed import observed, unless_gone
from clickpipe.server.parameters import Values, body_values, one, query_values, read_body
from clickpipe.server.ranges import asks_for_a_piece, piece
from clickpipe.server.results import body_response


async def query_sql(request: Request) -> Response:
    """Run one SELECT over what the token may read: `q=`, or the body of a POST (SQL, a form, a JSON object)."""
    who = caller(request)
    who.require_any("DATASOURCES:READ", "PIPES:READ")  # without any read scope, nothing runs
    values = query_values(request)
    if request.method == "POST":
        body = await read_body(request, instance_of(request).settings.max_body_bytes)
        values |= await unless_short(len(body), partial(_posted, body, request.headers.get("content-type", "")))
    text = one(values, "q")
    if not text.strip():
        message = "The query parameter 'q' is missing: the SQL to run."
        raise ClickpipeError(message, code="missing_query")
    sql, output = split_format_clause(text)
    options = who.options(values, output, one(values, "pipeline"))

    queries = who.queries(values)

    def selected() -> Awaitable[Answer]:
        return unless_gone(request, queries.sql(sql, options, who.may_read))

    run = partial(observed, request, who, QUERY_API, selected, options.values)
    if asks_for_a_piece(request):
        return await piece(request, who, run, {"Content-Type": output.content_type})
    answer = await run()
    return body_response(answer.result, output.content_type, {})


def _posted(body: bytes, content_type: str) -> Values:
    """Return the parameters of a body: a form or JSON object with `q` (clients send either), or else plain SQL."""
    with contextlib.suppress(ClickpipeError):
        values = body_values(body.strip(), content_type)
        if "q" in values or not values:
            return values
    return {"q": body.decode("utf-8", errors="replace")}
