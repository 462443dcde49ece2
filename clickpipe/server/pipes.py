"""Endpoints and pipes: `/v0/pipes`, `/v0/pipes/<name>.<format>`, copies."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from clickpipe.auth import allows
from clickpipe.catalog import resource_id
from clickpipe.concurrency import in_thread
from clickpipe.diagnostics import ClickpipeError, UnknownResource
from clickpipe.generate import openapi_document
from clickpipe.jobs import Population
from clickpipe.query import FORMATS, Answer, OutputFormat, split_format_clause
from clickpipe.server.context import Caller, caller, instance_of, require_condition
from clickpipe.server.jobs import started
from clickpipe.server.metadata import asked_keys, find, moment, pipe_reply
from clickpipe.server.observed import observed, unless_gone
from clickpipe.server.parameters import Values, flag, header, of_pipe, one, posted_values
from clickpipe.server.ranges import asks_for_a_piece, piece
from clickpipe.server.results import body_response
from clickpipe.server.shapes import text_response


async def call_endpoint(request: Request) -> Response:
    """Answer `GET|POST /v0/pipes/<name>.<format>` with the engine's bytes; `q=` is a SELECT over them, named `_`."""
    who = caller(request)
    name, ending = request.path_params["name"], request.path_params["format"]
    if ending == "pipe" and request.method != "POST":
        return _datafile(who, name)
    output = FORMATS.get(ending)
    if output is None:
        message = f"The format '{ending}' is unknown: use one of {', '.join(FORMATS)}"
        raise ClickpipeError(message, status=404, code="unknown_format")
    who.require("PIPES:READ", name)
    request.scope["state"]["headers"] |= instance_of(request).endpoint_requests.take((who.workspace.id, name))
    values = await posted_values(request)
    if flag(values, "explain"):
        return await _explain(request, who, name, values)
    over, pieces = one(values, "q"), asks_for_a_piece(request)
    queries, known = who.queries(values), "" if pieces else header(request, b"if-none-match")
    sql, output = split_format_clause(over, output) if over else ("", output)
    options = who.options(values, output)

    def answer() -> Awaitable[Answer]:
        if over:
            return unless_gone(request, queries.over_endpoint(name, sql, options, who.may_read))
        return unless_gone(request, queries.endpoint(name, options, known))

    run = partial(observed, request, who, name, answer, options.values)
    if pieces:
        return await piece(request, who, run, {"Content-Type": output.content_type})
    return _reply(await run(), output)


def _reply(answer: Answer, output: OutputFormat) -> Response:
    headers = {"Cache-Control": "private, no-cache"}  # clients may keep it, but must revalidate
    headers |= {"ETag": answer.etag} if answer.etag else {}
    headers |= {"X-Cache": answer.source} if answer.source else {}
    headers |= {"Age": str(int(answer.age))} if answer.source == "HIT" else {}
    if answer.unmodified:
        return Response(status_code=304, headers=headers)
    return body_response(answer.result, output.content_type, headers)


def _datafile(who: Caller, name: str) -> Response:
    """Answer `GET /v0/pipes/<name>.pipe`, only for tokens that may see the whole project."""
    who.require("WORKSPACE:READ_ALL")
    project = who.workspace.queries.live().compiled.project
    pipe = project.pipes.get(name)
    if pipe is None:
        message = f"Pipe '{name}' not found"
        raise ClickpipeError(message, status=404, code="not_found")
    return text_response(project.files[pipe.file])


async def list_pipes(request: Request) -> JSONResponse:
    """Answer `GET /v0/pipes`: the pipes that the token may read; `attrs` and `node_attrs` select keys."""
    who = caller(request)
    live = who.workspace.live
    pipes = live.compiled.project.pipes.values() if live else ()
    attrs, node_attrs = asked_keys(request, "attrs"), asked_keys(request, "node_attrs")
    readable = (p for p in pipes if allows(who.token, "PIPES:READ", p.name))
    now = moment(who)
    return JSONResponse({"pipes": [pipe_reply(who, live, p, now, attrs, node_attrs) for p in readable if live]})


async def get_pipe(request: Request) -> JSONResponse:
    """Answer `GET /v0/pipes/<name or id>`."""
    who = caller(request)
    pipes = who.workspace.queries.live().compiled.project.pipes
    given = request.path_params["name"]
    pipe = find(pipes, who.workspace.id, "pipe", given)
    who.require("PIPES:READ", pipe.name if pipe else given, given)
    if pipe is None:
        known = [("PIPES", name) for name in pipes]
        raise UnknownResource(f"Pipe '{given}' not found", given, known, status=404, code="not_found")
    live = who.workspace.queries.live()
    attrs, node_attrs = asked_keys(request, "attrs"), asked_keys(request, "node_attrs")
    return JSONResponse(pipe_reply(who, live, pipe, moment(who), attrs, node_attrs))


async def get_explain(request: Request) -> JSONResponse:
    """Answer `GET /v0/pipes/<name>/explain`: ClickHouse's plan for a call."""
    who = caller(request)
    name = request.path_params["name"]
    who.require("PIPES:READ", name)
    return await _explain(request, who, name, await posted_values(request))


async def _explain(request: Request, who: Caller, name: str, values: Values) -> JSONResponse:
    plan = await unless_gone(request, who.queries(values).explain(name, who.options(values)))
    return JSONResponse({"name": name, "plan": plan})


async def get_openapi(request: Request) -> JSONResponse:
    """Answer `GET /v0/pipes/openapi.json`, with the endpoints that the token may read."""
    who = caller(request)
    live = who.workspace.live
    endpoints = live.compiled.endpoints if live else {}
    readable = [endpoints[n] for n in sorted(endpoints) if allows(who.token, "PIPES:READ", n)]
    version = live.compiled.fingerprint() if live else "0"
    return JSONResponse(openapi_document(readable, who.workspace.name, version))


async def pause_copy(request: Request) -> JSONResponse:
    """Answer `POST /v0/pipes/<name>/copy/pause`: its schedule starts no runs until resumed."""
    return _paused(request, paused=True)


async def resume_copy(request: Request) -> JSONResponse:
    """Answer `POST /v0/pipes/<name>/copy/resume`."""
    return _paused(request, paused=False)


def _paused(request: Request, *, paused: bool) -> JSONResponse:
    who = caller(request)
    name = request.path_params["name"]
    who.require("PIPES:CREATE", name)
    who.workspace.copies.pause(name, paused=paused)
    return JSONResponse({"name": name, "paused": paused})


async def post_copy(request: Request) -> JSONResponse:
    """Answer `POST /v0/pipes/<name>/copy`: start a copy as a job."""
    who = caller(request)
    name = request.path_params["name"]
    who.require("PIPES:CREATE", name)
    given = await posted_values(request)
    data, values = who.data(given), of_pipe(given)
    mode = values.pop("_mode", None)
    job = await in_thread(data.copy, name, values, str(mode) if mode else None)
    live = data.queries.live()
    target = live.compiled.copies[name].target
    reply = started(request, who, job)
    tags = {"copy_target_datasource": resource_id(who.workspace.id, "datasource", target)}
    return JSONResponse({**reply, "job": reply, "tags": tags})


async def post_population(request: Request) -> JSONResponse:
    """Answer `POST /v0/pipes/<name>/nodes/<node>/population`: fill a view's target from its source, as a job."""
    who = caller(request)
    name, node = request.path_params["name"], request.path_params["node"]
    who.require("PIPES:CREATE", name)
    pipe = find(who.workspace.queries.live().compiled.project.pipes, who.workspace.id, "pipe", name)
    ids = {resource_id(who.workspace.id, "node", pipe.name, n.name): n for n in pipe.nodes} if pipe else {}
    if pipe is None or (pipe.node(node) is None and node not in ids):
        message = f"The pipe '{name}' has no node '{node}'" if pipe else f"The pipe '{name}' does not exist"
        raise ClickpipeError(message, status=404, code="not_found")
    given = await posted_values(request)
    subset = one(given, "populate_subset") or "1"
    try:
        part = float(subset)
    except ValueError:
        part = 0.0
    if not 0 < part <= 1:
        message = f"'populate_subset' must be a fraction up to 1, such as 0.1, not '{subset[:50]}'."
        raise ClickpipeError(message, code="bad_parameter")
    wanted = Population(pipe.name, flag(given, "truncate"), one(given, "populate_condition"), part)
    live = who.workspace.queries.live()
    view = live.compiled.views.get(pipe.name)
    await require_condition(request, who, live, view.source if view else "", wanted.condition)
    job = await in_thread(who.workspace.jobs.populate, wanted)
    reply = started(request, who, job)
    return JSONResponse({**reply, "job": reply})
