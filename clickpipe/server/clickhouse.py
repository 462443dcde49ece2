"""ClickHouse's HTTP interface, read-only: for Grafana, Metabase, clickhouse-connect and other ClickHouse clients.

The password is a token, and SQL passes the same checks as everywhere. ClickHouse's documentation of its HTTP interface
describes what its clients expect of responses.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from clickpipe.auth import allows
from clickpipe.catalog import without_physical_names
from clickpipe.concurrency import in_thread
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Escaped
from clickpipe.observe import QUERY_API
from clickpipe.query import (
    Answer,
    ClientQuery,
    QueryOptions,
    Shown,
    asked_settings,
    canonical_database,
    client_query,
    client_settings,
    format_named,
    split_format_clause,
    split_settings,
    unknown_database,
)
from clickpipe.server.clickhouse_wire import (
    TEXT,
    Asked,
    asked_of,
    error_answer,
    exception_block,
    exception_tag,
    general_headers,
    password,
)
from clickpipe.server.context import Caller, caller_with, for_caller, instance_of
from clickpipe.server.framing import framed
from clickpipe.server.metadata import shown_counts
from clickpipe.server.observed import observed, unless_gone
from clickpipe.server.ranges import asks_for_a_piece, piece
from clickpipe.server.results import body_response

_DEFAULT = "TabSeparated"


async def ping(_request: Request) -> Response:
    """Answer `GET /ping` as ClickHouse does."""
    return Response("Ok.\n", headers=TEXT)


async def clickhouse_query(request: Request) -> Response:
    """Answer `GET|POST /?query=`: one SELECT in the format it asks for, errors in ClickHouse's form."""
    if request.method != "POST" and "query" not in request.query_params:
        return Response("Ok.\n", headers=TEXT)  # ClickHouse's answer to a client that checks whether it is up
    who = None
    try:
        who = caller_with(request, password(request))
        who.require_any("DATASOURCES:READ", "PIPES:READ")  # without any read scope, nothing runs
        asked = await asked_of(request)
        if not asked.sql.strip():
            return Response("Ok.\n", headers=TEXT)
        return await _answer(request, who, asked)
    except ClickpipeError as error:
        return error_answer(request, for_caller(request, error), known=who is not None)


def _shown(request: Request, who: Caller) -> Shown:
    return Shown(
        who.workspace.queries.live(),
        who.workspace.name,
        lambda kind, name: allows(who.token, f"{kind}:READ", name),
        lambda: shown_counts(who, who.workspace.row_counts()),
        client_settings(instance_of(request).engine),
    )


async def _answer(request: Request, who: Caller, asked: Asked) -> Response:
    shown = await in_thread(_shown, request, who)
    canonical_database(shown, asked.params.get("database") or request.headers.get("x-clickhouse-database", ""))
    wanted = asked.params.get("default_format") or request.headers.get("x-clickhouse-format") or _DEFAULT
    text, own = split_settings(asked.sql.rstrip("; \t\r\n\f\v"), shown.settings)
    text, output = split_format_clause(text, format_named(wanted))
    text, more = split_settings(text, shown.settings)
    query = await in_thread(client_query, text, shown)
    headers = {**general_headers(request), "X-ClickHouse-Format": output.clickhouse}
    if not query.sql:
        return Response(b"", headers={**TEXT, **headers})
    settings = asked_settings({**asked.params, **own, **more}, shown.settings)
    bound = {n.removeprefix("param_"): Escaped(v) for n, v in asked.params.items() if n.startswith("param_")}
    options = who.options({}, output)
    settings = {**options.settings, **settings}
    options = replace(options, bound=bound, settings=settings, explain=query.explain, said=frozenset({*own, *more}))
    run = partial(observed, request, who, QUERY_API, partial(_run, request, who, query, options), {})
    packed = asked.params.get("compress") == "1"
    try:
        if asks_for_a_piece(request) and not packed:
            return await piece(request, who, run, {"Content-Type": output.content_type, **headers})
        answer = await run()
    except ClickpipeError as error:
        absent = unknown_database(text, shown) if error.code == "not_allowed" else ""
        if absent:
            canonical_database(shown, absent)
        raise
    return await _response(answer, output.content_type, headers, packed=packed, counted=not who.token.is_limited)


async def _run(request: Request, who: Caller, query: ClientQuery, options: QueryOptions) -> Answer:
    queries = who.workspace.queries
    if not query.explain.startswith("EXPLAIN"):
        return await unless_gone(request, queries.sql(query.sql, options, who.may_read))
    plain = replace(options, output=format_named("TSVRaw"))
    plan = await unless_gone(request, queries.sql(query.sql, plain, who.may_read))
    lines = without_physical_names(plan.result.body.decode(errors="replace")).rstrip("\n").split("\n")
    options = replace(options, bound={"lines": lines}, explain="")
    lines_again = "SELECT arrayJoin({lines:Array(String)}) AS explain"
    return await unless_gone(request, queries.sql(lines_again, options, who.may_read))


async def _response(
    answer: Answer, content_type: str, headers: dict[str, str], *, packed: bool, counted: bool
) -> Response:
    result = answer.result
    summary = {
        "read_rows": str(result.rows_read if counted else result.rows),
        "read_bytes": str(result.bytes_read if counted else len(result.body)),
        "result_rows": str(result.rows),
    }
    tag = exception_tag()
    headers |= {
        "X-ClickHouse-Summary": json.dumps({**summary, "elapsed_ns": str(int(result.elapsed * 1e9))}),
        "X-ClickHouse-Exception-Tag": tag,
    }
    ending = partial(exception_block, tag=tag)
    if not packed:
        return body_response(result, content_type, headers, ending=ending)
    headers["Content-Encoding"] = "identity"  # ClickHouse's framing is compression enough
    return await in_thread(body_response, result, content_type, headers, framed, ending)
