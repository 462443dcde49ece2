"""ClickHouse's HTTP interface, to read: for Grafana, Metabase, clickhouse-connect and what else speaks to ClickHouse.

The password is a token; the same wall as everywhere stands before the SQL. What ClickHouse's clients expect of the
answer is told in ClickHouse's documentation of its HTTP interface.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from dataclasses import replace
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from clickpipe.auth import allows
from clickpipe.diagnostics import ClickpipeError
from clickpipe.observe import QUERY_API
from clickpipe.query import client_sql, format_named, split_format_clause
from clickpipe.server.context import Caller, caller_with, instance_of
from clickpipe.server.framing import framed
from clickpipe.server.observed import observed, run_sql
from clickpipe.server.parameters import read_body
from clickpipe.server.results import body_response

_TEXT = {"Content-Type": "text/plain; charset=UTF-8"}
_DEFAULT = "TabSeparated"


async def ping(_request: Request) -> Response:
    """Answer `GET /ping` as ClickHouse does."""
    return Response("Ok.\n", headers=_TEXT)


async def clickhouse_query(request: Request) -> Response:
    """Answer `GET|POST /?query=`: one SELECT in the format it asks for, errors as ClickHouse writes them."""
    params = request.query_params
    try:
        who = caller_with(request, _password(request))
        body = await read_body(request, instance_of(request).settings.max_body_bytes)
        text = "\n".join(filter(None, (params.get("query", ""), body.decode("utf-8", errors="replace"))))
        if not text.strip():
            return Response("Ok.\n", headers=_TEXT)
        return await _answer(request, who, text)
    except ClickpipeError as error:
        number = error.headers.get("X-DB-Exception-Code", "516" if error.status == 403 else "164")  # noqa: PLR2004
        headers = {**_TEXT, **error.headers, "X-ClickHouse-Exception-Code": number}
        return Response(f"Code: {number}. DB::Exception: {error.message}\n", error.status, headers)


async def _answer(request: Request, who: Caller, text: str) -> Response:
    params = request.query_params
    asked = params.get("default_format") or request.headers.get("x-clickhouse-format") or _DEFAULT
    text, output = split_format_clause(text, format_named(asked))
    queries = who.workspace.queries
    sql = client_sql(
        text, queries.live(), who.workspace.name, lambda kind, name: allows(who.token, f"{kind}:READ", name)
    )
    given = {name.removeprefix("param_"): value for name, value in params.items() if name.startswith("param_")}
    options = replace(who.options({}, output), bound=given)

    answer = await observed(request, who, QUERY_API, partial(run_sql, request, who, sql, options, queries), {})
    result = answer.result
    summary = {
        "read_rows": str(result.rows_read),
        "read_bytes": str(result.bytes_read),
        "result_rows": str(result.rows),
    }
    headers = {
        "X-ClickHouse-Summary": json.dumps({**summary, "elapsed_ns": str(int(result.elapsed * 1e9))}),
        "X-ClickHouse-Query-Id": params.get("query_id") or request.scope["state"]["request_id"],
        "X-ClickHouse-Format": output.clickhouse,
        "X-ClickHouse-Timezone": "UTC",
        "X-ClickHouse-Server-Display-Name": "clickpipe",
    }
    if params.get("compress") != "1":
        return body_response(result, output.content_type, headers)
    return await asyncio.to_thread(body_response, result, output.content_type, headers, framed)


def _password(request: Request) -> str:
    """Return what is sent as ClickHouse's password, in one of its three places."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    if scheme.lower() == "bearer":
        return value.strip()
    return request.headers.get("x-clickhouse-key") or request.query_params.get("password", "")
