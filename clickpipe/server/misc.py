"""Health and jobs."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse

import clickpipe
from clickpipe.diagnostics import ClickpipeError
from clickpipe.server.context import caller, instance_of
from clickpipe.server.shapes import job_reply


async def get_health(_request: Request) -> JSONResponse:
    """Answer `GET /v0/health` without a token."""
    return JSONResponse({"status": "ok", "version": clickpipe.__version__})


async def list_jobs(request: Request) -> JSONResponse:
    """Answer `GET /v0/jobs`: the newest first."""
    who = caller(request)
    who.require("WORKSPACE:READ_ALL")
    jobs = instance_of(request).catalog.jobs(who.workspace.id)
    wanted = {key: request.query_params[key] for key in ("kind", "status") if key in request.query_params}
    return JSONResponse(
        {"jobs": [job_reply(j) for j in jobs if all(getattr(j, key) == value for key, value in wanted.items())]}
    )


async def get_job(request: Request) -> JSONResponse:
    """Answer `GET /v0/jobs/<id>`."""
    who = caller(request)
    job = instance_of(request).catalog.job(who.workspace.id, request.path_params["id"])
    if job is None:
        message = f"The job '{request.path_params['id']}' does not exist"
        raise ClickpipeError(message, status=404, code="not_found")
    return JSONResponse(job_reply(job))
