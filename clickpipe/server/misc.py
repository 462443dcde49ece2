"""Health, metrics and jobs."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

import clickpipe
from clickpipe.diagnostics import ClickpipeError
from clickpipe.observe import CONTENT_TYPE
from clickpipe.server.context import caller, instance_of
from clickpipe.server.shapes import job_reply


async def get_health(_request: Request) -> JSONResponse:
    """Answer `GET /v0/health` without a token."""
    return JSONResponse({"status": "ok", "version": clickpipe.__version__})


async def get_ready(request: Request) -> JSONResponse:
    """Answer `GET /v0/ready` without a token: 200 when requests can be answered, else 503 with the reason."""
    reason = await asyncio.to_thread(instance_of(request).not_ready)
    status = {"status": "not ready", "error": reason} if reason else {"status": "ready"}
    return JSONResponse(status, status_code=503 if reason else 200)


async def get_metrics(request: Request) -> Response:
    """Answer `GET /metrics` for Prometheus."""
    instance = instance_of(request)
    if instance.settings.metrics_access != "open":
        caller(request).require("WORKSPACE:READ_ALL")
    return Response(await asyncio.to_thread(instance.metrics.text), media_type=CONTENT_TYPE)


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
