"""Shapes that several routes send."""

from __future__ import annotations

import hashlib
from typing import Any

from clickpipe.catalog import Job

_PREFIX = {"datasource": "t_", "pipe": "t_", "node": "t_"}


def resource_id(workspace: str, kind: str, *names: str) -> str:
    """Return a resource's id: the same for the same name in the same workspace."""
    digest = hashlib.sha256("/".join([workspace, kind, *names]).encode()).hexdigest()
    return f"{_PREFIX[kind]}{digest[:32]}"


def job_reply(job: Job) -> dict[str, Any]:
    """Return a job as the jobs API sends it."""
    reply: dict[str, Any] = {
        "id": job.id,
        "job_id": job.id,
        "kind": job.kind,
        "status": job.status,
        "resource": job.resource,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        "job_url": f"/v0/jobs/{job.id}",
        **job.result,
    }
    if job.kind == "deployment":
        reply["deployment_id"] = job.resource
    if job.error:
        reply["error"] = job.error
    return reply
