"""A workspace with copies, for jobs and schedules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clickpipe.catalog import Job
from clickpipe.runtime import Instance, Workspace

TARGET = "SCHEMA >\n    n Int32\n\nENGINE_SORTING_KEY n\n"
COPY = (
    "NODE n\nSQL >\n    SELECT toInt32(1) AS n\n"
    "TYPE copy\nTARGET_DATASOURCE ticks\nCOPY_MODE replace\nCOPY_SCHEDULE {}\n"
)
FILES = {
    "ticks.datasource": TARGET,
    "often.pipe": COPY.format("*/5 * 29 2 *"),
    "daily.pipe": COPY.format("0 3 29 2 *"),
    "asked.pipe": COPY.format("@on-demand"),
}


@pytest.fixture(scope="module")
def deployed(instance: Instance) -> Iterator[Workspace]:
    """One workspace for all: jobs have nothing to do with each other."""
    made = instance.workspaces.create("jobs")
    made.deploy(FILES)
    yield made
    instance.workspaces.delete(made)


def state(instance: Instance, job: Job) -> Job:
    found = instance.catalog.jobs.get(job.workspace_id, job.id)
    assert found is not None
    return found
