"""What came in from a bucket."""

from __future__ import annotations

from clickpipe.catalog import Job
from clickpipe.runtime import Workspace


def sync(workspace: Workspace, *, again: bool = True) -> Job:
    jobs = workspace._services.jobs
    job = workspace.data.buckets.start("events", again=again)
    jobs.wait(job.id)
    found = workspace._services.catalog.jobs.get(workspace.id, job.id)
    assert found is not None
    return found


def ids(workspace: Workspace) -> list[str]:
    found = [row["id"] for row in workspace.sql("SELECT id FROM events ORDER BY id")]
    view = workspace.sql("SELECT id FROM sums ARRAY JOIN range(toUInt64(n)) AS each ORDER BY id")
    assert [row["id"] for row in view] == found  # each n is 1
    return found
