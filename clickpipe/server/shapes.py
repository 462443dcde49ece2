"""Shapes that several routes send."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from clickpipe.catalog import Job


def text_response(text: str) -> Response:
    """Return a datafile: published clients expect the type without a charset."""
    return Response(text.encode(), headers={"Content-Type": "text/plain"})


def job_reply(request: Request, job: Job) -> dict[str, Any]:
    """Return a job as the jobs API sends it, with its whole URL."""
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
