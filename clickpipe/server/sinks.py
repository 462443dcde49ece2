"""Sinks: run now, pause and resume their schedules."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse

from clickpipe.concurrency import in_thread
from clickpipe.server.context import caller
from clickpipe.server.jobs import started
from clickpipe.server.parameters import of_pipe, posted_values


async def post_sink(request: Request) -> JSONResponse:
    """Answer `POST /v0/pipes/<name>/sink` (or `…/nodes/<node>/sink`): export the rows of a sink as a job."""
    who = caller(request)
    name = request.path_params["name"]
    who.require("PIPES:CREATE", name)
    values = of_pipe(await posted_values(request))
    mode = values.pop("_mode", None)
    job = await in_thread(who.workspace.sinks.start, name, values, str(mode) if mode else None)
    reply = started(request, who, job)
    return JSONResponse({**reply, "job": reply})


async def pause_sink(request: Request) -> JSONResponse:
    """Answer `POST /v0/pipes/<name>/sink/pause`: its schedule starts no runs until resumed."""
    return await _pause(request, paused=True)


async def resume_sink(request: Request) -> JSONResponse:
    """Answer `POST /v0/pipes/<name>/sink/resume`."""
    return await _pause(request, paused=False)


async def _pause(request: Request, *, paused: bool) -> JSONResponse:
    who = caller(request)
    name = request.path_params["name"]
    who.require("PIPES:CREATE", name)
    await in_thread(partial(who.workspace.sinks.pause, name, paused=paused))
    return JSONResponse({"name": name, "paused": paused})
