"""Data sources: `GET /v0/datasources`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from clickpipe.auth import allows
from clickpipe.concurrency import in_thread
from clickpipe.diagnostics import ClickpipeError
from clickpipe.server.context import caller, flag
from clickpipe.server.metadata import asked_keys, data_source_reply, find, moment, with_engine_details
from clickpipe.server.shapes import text_response


async def list_data_sources(request: Request) -> JSONResponse:
    """Answer `GET /v0/datasources` with those that the token may read; `attrs` selects the keys to send."""
    who = caller(request)
    live = who.workspace.live
    if live is None:
        return JSONResponse({"datasources": []})
    counts = await in_thread(who.workspace.row_counts)
    readable = [s for s in live.compiled.data_sources.values() if allows(who.token, "DATASOURCES:READ", s.name)]
    attrs = asked_keys(request, "attrs")
    now = moment(who)
    return JSONResponse({"datasources": [data_source_reply(who, live, s, counts, now, attrs) for s in readable]})


async def get_data_source(request: Request) -> Response:
    """Answer `GET /v0/datasources/<name or id>`, or with its datafile for `<name>.datasource`."""
    who = caller(request)
    live = who.workspace.queries.live()
    given: str = request.path_params["name"]
    datafile = given.endswith(".datasource")
    given = given.removesuffix(".datasource")
    source = find(live.compiled.data_sources, who.workspace.id, "datasource", given)
    if datafile:
        who.require("WORKSPACE:READ_ALL")
    else:
        who.require("DATASOURCES:READ", source.name if source else given, given)
    if source is None:
        message = f'Data Source "{given}" does not exist'
        raise ClickpipeError(message, status=404, code="not_found")
    if datafile:
        return text_response(live.compiled.project.files[source.file])
    counts = await in_thread(who.workspace.row_counts)
    attrs = asked_keys(request, "attrs")
    reply = data_source_reply(who, live, source, counts, moment(who), attrs)
    return JSONResponse(reply if attrs else with_engine_details(reply))


async def get_dependencies(request: Request) -> JSONResponse:
    """Answer `GET /v0/dependencies`: the data sources that views fill from others, with the pipes that do.

    `datasource` selects the source, `recursive` follows what it fills; `pipe` and `match` (part of a name) filter.
    """
    who = caller(request)
    who.require("WORKSPACE:READ_ALL")
    compiled = who.workspace.queries.live().compiled
    given = request.query_params
    name, pipe, part = given.get("datasource", ""), given.get("pipe", ""), given.get("match", "")
    if name and name not in compiled.data_sources:
        message = f'Data Source "{name}" does not exist'
        raise ClickpipeError(message, status=404, code="not_found")
    found: dict[str, list[str]] = {}
    waiting, seen = [name] if name else list(compiled.data_sources), set[str]()
    while waiting:
        source = waiting.pop()
        seen.add(source)
        for view in compiled.views.values():
            if view.source == source and pipe in {"", view.name} and part in view.target:
                found.setdefault(view.target, []).append(view.name)
                if flag(request, "recursive") and view.target not in seen:
                    waiting.append(view.target)
    shown = {target: sorted(set(found[target])) for target in sorted(found)}
    return JSONResponse({"dependencies": shown, "incompatible_datasources": {}})
