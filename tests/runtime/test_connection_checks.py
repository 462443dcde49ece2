"""Trying a connection: every data source and sink that uses it is tried, and the reason is told."""

from __future__ import annotations

from typing import Any

import pytest

from clickpipe.catalog import Job
from clickpipe.diagnostics import ClickpipeError
from clickpipe.runtime import Workspace
from tests.connect.buckets import TestBucket, rows
from tests.runtime import sinks


def checked(workspace: Workspace, name: str) -> tuple[Job, dict[str, str]]:
    """The job that tried a connection, and what it found, by the name of who uses it."""
    job = workspace.connection_checks.start(name)
    workspace._services.jobs.wait(job.id)
    found = workspace._services.catalog.jobs.get(workspace.id, job.id)
    assert found is not None
    checks: list[dict[str, Any]] = found.result.get("checks", [])
    assert all(bool(check["found"]) != bool(check["problem"]) for check in checks)
    return found, {check["name"]: check["found"] or check["problem"] for check in checks}


def test_files_that_match_are_counted_and_none_is_imported(workspace: Workspace, lake: TestBucket) -> None:
    for number in range(3):
        lake.put(f"in/{number}.ndjson", rows({"id": "a", "n": number}))
    lake.put("out/3.ndjson", "")
    workspace.deploy(lake.files(schedule="@on-demand"))
    job, found = checked(workspace, "lake")
    assert (job.status, found) == ("done", {"events": "3 files match IMPORT_BUCKET_URI"})
    assert workspace.sql("SELECT count() AS n FROM events") == [{"n": 0}]


def test_sinks_are_tried_and_write_nothing(workspace: Workspace, lake: TestBucket) -> None:
    workspace.deploy(sinks.project(lake, "all"))
    job, found = checked(workspace, "lake")
    assert (job.status, list(found)) == ("done", ["out"])
    assert found["out"].startswith(f"the bucket '{lake.name}' answers")
    assert lake.names() == []


def test_a_connection_that_nothing_uses_is_told(workspace: Workspace, lake: TestBucket) -> None:
    workspace.deploy({"lake.connection": lake.connection})
    job, found = checked(workspace, "lake")
    assert (job.status, found) == (
        "done",
        {"lake": "nothing reads or writes through it, so there is nothing to try"},
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("test-", "no-such-", "NoSuchBucket, there is no such bucket"),
        ("a-secret-key", '{{ tb_secret("lake_key") }}', "The secret 'lake_key' is not set"),
        ("us-east-1", "Moon", "S3_REGION is no region"),
    ],
)
def test_what_is_wrong_is_told(workspace: Workspace, lake: TestBucket, old: str, new: str, said: str) -> None:
    lake_files, sink_files = lake.files(schedule="@on-demand"), sinks.project(lake, "all")
    changed = {"out.pipe": sink_files["out.pipe"].replace("kind, at", "n"), **lake_files}
    workspace.deploy({name: text.replace(old, new) for name, text in changed.items()})
    job, found = checked(workspace, "lake")
    assert (job.status, sorted(found)) == ("error", ["events", "out"])
    assert all(said in problem for problem in found.values())
    assert job.error == f"events: {found['events']}"


def test_an_address_that_does_not_answer(workspace: Workspace, lake: TestBucket) -> None:
    files = lake.files(schedule="@on-demand")
    files["lake.connection"] = files["lake.connection"].replace(lake.url, "http://127.0.0.1:1")
    workspace.deploy(files)
    job, found = checked(workspace, "lake")
    assert (job.status, "refused" in found["events"].lower()) == ("error", True)


def test_an_unknown_connection_is_told(workspace: Workspace, lake: TestBucket) -> None:
    workspace.deploy(lake.files(schedule="@on-demand"))
    with pytest.raises(ClickpipeError, match="There is no connection 'lak'") as told:
        workspace.connection_checks.start("lak")
    assert told.value.status == 404
