"""A project with a sink, its runs, and what it has written."""

from __future__ import annotations

import csv
import io
from typing import Any

from clickpipe.catalog import Job
from clickpipe.runtime import Workspace
from tests.connect.buckets import TestBucket

SOURCE = (
    "SCHEMA >\n    id UInt64 `json:$.id`,\n    kind String `json:$.kind`,\n    at DateTime `json:$.at`\n\n"
    "ENGINE_SORTING_KEY id\n"
)
SELECT = "SELECT id, kind, at FROM events ORDER BY id"


def project(lake: TestBucket, template: str, sql: str = SELECT, **options: str) -> dict[str, str]:
    wanted = {
        "EXPORT_CONNECTION_NAME": "lake",
        "EXPORT_BUCKET_URI": f"s3://{lake.name}/out",
        "EXPORT_FILE_TEMPLATE": template,
        "EXPORT_SCHEDULE": "@on-demand",
        **options,
    }
    lines = "".join(f"{name} {value}\n" for name, value in wanted.items())
    return {
        "events.datasource": SOURCE,
        "lake.connection": lake.connection,
        "out.pipe": f"NODE n\nSQL >\n    %\n    {sql}\n\nTYPE sink\n{lines}",
    }


def deployed(workspace: Workspace, files: dict[str, str], rows: int = 4) -> None:
    workspace.deploy(files)
    workspace.ingest(
        "events",
        [{"id": n, "kind": "ab"[n % 2], "at": f"2026-01-{1 + n // 2:02} 10:00:00"} for n in range(rows)],
    )


def run(workspace: Workspace, mode: str | None = None, **values: Any) -> Job:
    jobs = workspace._services.jobs
    job = workspace.sinks.start("out", values, mode)
    jobs.wait(job.id)
    found = workspace._services.catalog.jobs.get(workspace.id, job.id)
    assert found is not None
    return found


def data(lake: TestBucket) -> list[str]:
    return [key for key in lake.names() if "/_manifests/" not in key]


def ids(text: bytes) -> list[int]:
    return [int(row["id"]) for row in csv.DictReader(io.StringIO(text.decode()))]
