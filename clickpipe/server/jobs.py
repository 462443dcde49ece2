"""Jobs, for callers that started them and for those that may see all."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from clickpipe.auth import ADMIN, allows
from clickpipe.catalog import Job
from clickpipe.concurrency import in_thread, result_of
from clickpipe.diagnostics import ClickpipeError
from clickpipe.server.context import Caller, caller, instance_of

_ALL = "WORKSPACE:READ_ALL"


def started(request: Request, who: Caller, job: Job) -> dict[str, Any]:
    """Record the caller as one of the job's owners; return the job as the jobs API sends it."""
    instance_of(request).catalog.jobs.give_to(job.id, who.token.maker)
    return job_reply(request, job)


def job_reply(request: Request, job: Job) -> dict[str, Any]:
    """Return a job as the jobs API sends it, with its full URL."""
    reply: dict[str, Any] = {
        "id": job.id,
        "job_id": job.id,
        "kind": job.kind,
        "status": job.status,
        "resource": job.resource,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        "job_url": f"{str(request.base_url).rstrip('/')}/v0/jobs/{job.id}",
        **job.told,
    }
    if job.kind == "deployment":
        reply["deployment_id"] = job.resource
    if job.error:
        reply["error"] = job.error
    return reply


async def ended(request: Request, job: Job, seconds: float | None = None) -> None:
    """Wait until a job has ended, or for `seconds`, without blocking a thread."""
    running = instance_of(request).jobs.running(job.id)
    if running is not None:
        await asyncio.wait([result_of(running)], timeout=seconds)


async def list_jobs(request: Request) -> JSONResponse:
    """Answer `GET /v0/jobs`, newest first."""
    who = caller(request)
    who.require(_ALL)
    jobs = instance_of(request).catalog.jobs.newest(who.workspace.id)
    wanted = {key: request.query_params[key] for key in ("kind", "status") if key in request.query_params}
    return JSONResponse(
        {
            "jobs": [
                job_reply(request, j) for j in jobs if all(getattr(j, key) == value for key, value in wanted.items())
            ]
        }
    )


async def get_job(request: Request) -> JSONResponse:
    """Answer `GET /v0/jobs/<id>` to the token that started it, and to tokens that may list all jobs."""
    return JSONResponse(job_reply(request, _job(request, caller(request))))


async def cancel_job(request: Request) -> JSONResponse:
    """Answer `POST /v0/jobs/<id>/cancel`."""
    who = caller(request)
    who.require(ADMIN)
    instance_of(request).jobs.cancel(_job(request, who))
    return JSONResponse(job_reply(request, _job(request, who)))


async def retry_job(request: Request) -> JSONResponse:
    """Answer `POST /v0/jobs/<id>/retry`: start a new job that does the same."""
    who = caller(request)
    who.require(ADMIN)
    job = await in_thread(who.workspace.jobs.retry, _job(request, who))
    return JSONResponse(started(request, who, job))


def _job(request: Request, who: Caller) -> Job:
    """Return the requested job.

    Raises ClickpipeError 404, even if it exists but belongs to another token, so as not to reveal which jobs exist.
    """
    given, sees_all = request.path_params["id"], allows(who.token, _ALL)
    job = instance_of(request).catalog.jobs.get(who.workspace.id, given)
    if job is None or not (sees_all or job.is_made_by(who.token)):
        message = f"The job '{given}' does not exist"
        if not sees_all:
            message += f", or another token started it: only that token, and tokens with {_ALL}, can see it"
        raise ClickpipeError(message, status=404, code="not_found")
    return job
