"""When buckets are looked at, and that none holds up others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clickpipe.catalog import Job
from clickpipe.connect import File, Objects
from clickpipe.diagnostics import ClickpipeError
from clickpipe.runtime import Instance, Workspace, bucket_imports
from clickpipe.runtime.bucket_schedule import BucketSchedule
from tests.connect.buckets import TestBucket
from tests.runtime.imported import ids, sync


class Watch:
    """A schedule that looks when it is told to."""

    def __init__(self, instance: Instance, workspace: Workspace) -> None:
        self.schedule = BucketSchedule(instance.workspaces, instance.ingestion_log, 0.0)
        self._instance, self._workspace = instance, workspace

    def look(self) -> list[Job]:
        """Look once, and wait for the jobs that this starts."""
        self.schedule.look()
        for looking in list(self.schedule._looking.values()):
            looking.result(60)
        jobs = self._instance.catalog.jobs.newest(self._workspace.id)
        for job in jobs:
            self._instance.jobs.wait(job.id)
        return jobs


@pytest.fixture
def watch(instance: Instance, workspace: Workspace) -> Iterator[Watch]:
    made = Watch(instance, workspace)
    yield made
    made.schedule.close()


def test_files_are_imported_as_they_come(workspace: Workspace, lake: TestBucket, watch: Watch) -> None:
    workspace.deploy(lake.files(schedule="@auto"))
    assert watch.look() == []  # there is nothing to do, so there is no job
    for number, name in enumerate("abc", start=1):
        lake.put(f"in/{name}.csv", f"id,n\n{name},1\n")
        assert len(watch.look()) == number
        assert len(watch.look()) == number
    assert ids(workspace) == ["a", "b", "c"]


def test_what_is_stopped_looks_for_no_files_until_it_goes_on(
    workspace: Workspace, lake: TestBucket, watch: Watch
) -> None:
    workspace.deploy(lake.files(schedule="@auto"))
    workspace.data.stop_reading("events", stopped=True)
    lake.put("in/a.csv", "id,n\na,1\n")
    assert watch.look() == []
    workspace.deploy(lake.files(path="**", schedule="@auto"))
    assert watch.look() == []
    workspace.data.stop_reading("events", stopped=False)
    assert len(watch.look()) == 1
    with pytest.raises(ClickpipeError, match="neither a topic nor a bucket"):
        workspace.data.stop_reading("sums", stopped=True)
    with pytest.raises(ClickpipeError, match="does not exist"):
        workspace.data.stop_reading("nothing", stopped=True)


ODD = [
    ("S3_ENDPOINT https://storage", "S3_ENDPOINT http://["),
    ("S3_ENDPOINT https://storage", "S3_ENDPOINT http://[x]"),
    ("S3_ENDPOINT https://storage", "S3_ENDPOINT http://a:port"),
    ("S3_ENDPOINT https://storage", "S3_ENDPOINT http://a:99999"),
    ("S3_ENDPOINT https://storage", "S3_ENDPOINT https://a\N{ACCOUNT OF}b"),
    ("S3_SECRET b", "S3_ARN c"),
    ("S3_REGION eu", "S3_REGION {{ tb_secret('odd', '\N{SNOWMAN}') }}"),
    ("IMPORT_SCHEDULE @auto", "IMPORT_TABLE_ARN a\nIMPORT_EXPORT_BUCKET b"),
    ("IMPORT_SCHEDULE @auto", "IMPORT_SCHEDULE * * * * *\nIMPORT_FROM_TIMESTAMP {{ tb_secret('odd', 'soon') }}"),
    ("s3://bucket/in", "{{ tb_secret('odd', 's3://{') }}"),
    ("TYPE s3", "TYPE gcs\nGCS_HMAC_ACCESS_ID a\nGCS_SERVICE_ACCOUNT_CREDENTIALS_JSON b"),
]


@pytest.mark.parametrize(("plain", "odd"), ODD)
def test_a_workspace_with_odd_options_keeps_no_other_from_importing(
    instance: Instance, workspace: Workspace, lake: TestBucket, watch: Watch, plain: str, odd: str
) -> None:
    files = lake.files()
    connection = "TYPE s3\nS3_ENDPOINT https://storage\nS3_REGION eu\nS3_ACCESS_KEY a\nS3_SECRET b\n"
    source = files["events.datasource"].replace(f"s3://{lake.name}", "s3://bucket")
    assert plain in connection + source
    changed = {"events.datasource": source.replace(plain, odd), "lake.connection": connection.replace(plain, odd)}
    workspace.deploy({**files, **changed})
    other = instance.workspaces.create(f"after_{workspace.id}")
    try:
        lake.put("in/a.csv", "id,n\na,1\n")
        other.deploy(files)
        watch.look()
        [job] = instance.catalog.jobs.newest(other.id)
        instance.jobs.wait(job.id)
        assert ids(other) == ["a"]
        assert "events" in watch.schedule.problems(workspace.id)
    finally:
        instance.workspaces.delete(other)


def test_whatever_goes_wrong_in_a_workspace_keeps_no_other_from_importing(
    instance: Instance, workspace: Workspace, lake: TestBucket, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = instance.workspaces.create(f"after_{workspace.id}")
    try:
        lake.put("in/a.csv", "id,n\na,1\n")
        other.deploy(lake.files())
        monkeypatch.setattr(workspace.data.buckets, "all", lambda: 1 / 0)
        watch.look()
        assert len(instance.catalog.jobs.newest(other.id)) == 1
    finally:
        instance.workspaces.delete(other)


def test_the_schedule_stops_while_a_bucket_is_listed_without_an_end(
    workspace: Workspace, lake: TestBucket, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = threading.Event()

    def pages(_: Objects, __: Path, check: Callable[[], None]) -> Iterator[list[File]]:
        while True:
            began.set()
            check()
            yield []

    monkeypatch.setattr(Objects, "pages", pages)
    workspace.deploy(lake.files())
    watch.schedule.look()
    assert began.wait(60)
    watch.schedule.close()  # a hang would be without an end


def test_a_job_remembers_some_files_and_imports_all_oldest_first(
    workspace: Workspace, lake: TestBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_imports, "_LISTED", 2)
    for name in "cabed":
        lake.put(f"in/{name}.csv", f"id,n\n{name},1\n")
    lake.put("in/bad.parquet", "no parquet")
    workspace.deploy(lake.files())
    job = sync(workspace)
    assert (job.result["files"], job.result["files_done"], job.result["files_failed"]) == (6, 5, 1)
    assert ids(workspace) == list("abcde")


def test_once_is_once(workspace: Workspace, lake: TestBucket, watch: Watch) -> None:
    workspace.deploy(lake.files(schedule="@once"))
    assert watch.look() == []
    for name in "ab":
        lake.put(f"in/{name}.csv", f"id,n\n{name},1\n")
        assert len(watch.look()) == 1
    assert ids(workspace) == ["a"]


def test_on_demand_waits_to_be_asked(workspace: Workspace, lake: TestBucket, watch: Watch) -> None:
    workspace.deploy(lake.files(schedule="@on-demand"))
    lake.put("in/a.csv", "id,n\na,1\n")
    assert watch.look() == []
    assert sync(workspace).status == "done"


def test_what_was_wrong_is_forgotten_when_it_is_right(workspace: Workspace, lake: TestBucket, watch: Watch) -> None:
    for schedule in ("@on-demand", "@auto"):
        files = lake.files(schedule=schedule)
        workspace.deploy({**files, "lake.connection": files["lake.connection"].replace(lake.url, "ftp://127.0.0.1")})
        watch.look()
        assert "S3_ENDPOINT is an address" in watch.schedule.problems(workspace.id)["events"]
        workspace.deploy(files)
        watch.look()
        assert watch.schedule.problems(workspace.id) == {}


def test_cron(workspace: Workspace, lake: TestBucket, watch: Watch) -> None:
    workspace.deploy(lake.files(schedule="0 0 1 * *"))
    lake.put("in/a.csv", "id,n\na,1\n")
    assert watch.look() == []
    watch.schedule._last = datetime.now(UTC) - timedelta(days=40)
    assert len(watch.look()) == 1
    assert ids(workspace) == ["a"]


def test_what_keeps_a_bucket_from_being_read_is_recorded_once(
    workspace: Workspace, lake: TestBucket, watch: Watch
) -> None:
    files = lake.files(schedule="@auto")
    workspace.deploy({**files, "events.datasource": files["events.datasource"].replace(lake.name, "no-such-bucket")})
    for _ in range(3):
        watch.look()
    asked = "SELECT error FROM tinybird.datasources_ops_log WHERE error != ''"
    assert [row["error"] for row in workspace.sql(asked)] == [
        "The bucket answered with the status 404: NoSuchBucket, there is no such bucket."
    ]
