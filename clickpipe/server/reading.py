"""Data sources that read topics and buckets: import now, stop, go on."""

from __future__ import annotations

import json
from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from clickpipe.concurrency import in_thread
from clickpipe.diagnostics import ClickpipeError
from clickpipe.server.context import Caller, caller
from clickpipe.server.jobs import started
from clickpipe.server.metadata import find
from clickpipe.server.parameters import limited

_STATES = {"paused": True, "running": False}
_MOST = 10_000  # bytes of a body
_SAMPLED, _MOST_SAMPLED = 1, 10  # files


def _allowed(request: Request) -> tuple[Caller, str]:
    """Return the caller and the name of the data source in the path, which may be its id. Raises ClickpipeError 403."""
    who, given = caller(request), request.path_params["name"]
    live = who.workspace.live
    source = find(live.compiled.data_sources, who.workspace.id, "datasource", given) if live else None
    name = source.name if source else given
    who.require("DATASOURCES:CREATE", name, given)
    return who, name


async def post_sync(request: Request) -> Response:
    """Start a job that imports the new files of a data source's bucket, or return the one that does."""
    who, name = _allowed(request)
    job = await in_thread(partial(who.workspace.data.buckets.start, name, again=True))
    return JSONResponse(started(request, who, job), status_code=202)


async def post_sample(request: Request) -> Response:
    """Start a job that imports a few of the new files of a bucket, by a body such as `{"max_files": 3}`."""
    who, name = _allowed(request)
    message = f'The body is {{"max_files": n}}, from 1 to {_MOST_SAMPLED}, or empty.'
    wrong = ClickpipeError(message, code="bad_sample")
    try:
        body = await limited(request, _MOST, wrong).body()
        most = json.loads(body).get("max_files", _SAMPLED) if body.strip() else _SAMPLED
    except (ValueError, AttributeError, RecursionError):
        raise wrong from None
    if type(most) is not int or not 1 <= most <= _MOST_SAMPLED:
        raise wrong
    job = await in_thread(partial(who.workspace.data.buckets.start, name, again=True, most=most))
    reply = started(request, who, job)
    return JSONResponse({**reply, "job": reply}, status_code=202)


async def post_stop(request: Request) -> Response:
    """Stop reading a topic or bucket, until `start`."""
    return await _set(*_allowed(request), stopped=True)


async def post_start(request: Request) -> Response:
    """Go on reading where it was stopped."""
    return await _set(*_allowed(request), stopped=False)


async def get_reading(request: Request) -> Response:
    """Return whether a data source reads: `{"state": "running"}` or `paused`."""
    who, name = _allowed(request)
    return JSONResponse({"state": "paused" if name in await in_thread(who.workspace.data.stopped) else "running"})


async def put_reading(request: Request) -> Response:
    """Stop reading, or go on, by a body such as `{"state": "paused"}`."""
    who, name = _allowed(request)
    message = 'The body is {"state": "paused"} or {"state": "running"}.'
    wrong = ClickpipeError(message, code="bad_state")
    try:
        state = json.loads(await limited(request, _MOST, wrong).body())["state"]
        stopped = _STATES[state]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise wrong from None
    return await _set(who, name, stopped=stopped)


async def _set(who: Caller, name: str, *, stopped: bool) -> Response:
    await in_thread(partial(who.workspace.data.stop_reading, name, stopped=stopped))
    return JSONResponse({"name": name, "state": "paused" if stopped else "running"})
