"""The files of a bucket become rows, each version of a file once."""

from __future__ import annotations

import gzip
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import zstandard

from clickpipe.catalog import Job
from clickpipe.connect import File, Objects
from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import Importer
from clickpipe.runtime import Instance, Workspace, bucket_imports
from clickpipe.runtime.bucket_schedule import BucketSchedule
from tests.conftest import RunPython
from tests.connect.buckets import TestBucket, rows, serving
from tests.runtime.test_crash import killed


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture
def lake(s3: str, instance: Instance, monkeypatch: pytest.MonkeyPatch) -> TestBucket:
    allowed = replace(instance.settings, import_private_urls="allow", bucket_poll_seconds=0.0)
    monkeypatch.setattr(instance._services, "settings", allowed)
    return TestBucket(s3)


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


def test_all_formats_and_compressions(workspace: Workspace, lake: TestBucket) -> None:
    lake.put("in/a.csv", "id,n\ncsv,1\n")
    lake.put("in/b.ndjson", rows({"id": "ndjson", "n": 1}))
    lake.put("in/c.jsonl.gz", gzip.compress(rows({"id": "gz", "n": 1}).encode()))
    lake.put("in/d.JSON.zst", zstandard.compress(rows({"id": "zst", "n": 1}).encode()))
    lake.put("in/sub/e.csv", "id,n\nnot asked for,1\n")
    workspace.deploy(lake.files())
    job = sync(workspace)
    assert (job.status, job.result["files"], job.result["files_done"], job.result["rows"]) == ("done", 4, 4, 4)
    assert ids(workspace) == ["csv", "gz", "ndjson", "zst"]
    assert sync(workspace).result["files"] == 0
    assert len(ids(workspace)) == 4


def test_a_format_that_the_data_source_names(workspace: Workspace, lake: TestBucket) -> None:
    lake.put("in/a.log", rows({"id": "a", "n": 1}))
    workspace.deploy(lake.files(IMPORT_FORMAT="ndjson"))
    assert sync(workspace).status == "done"
    assert ids(workspace) == ["a"]


def test_a_file_that_is_written_again_is_imported_again(workspace: Workspace, lake: TestBucket) -> None:
    workspace.deploy(lake.files())
    for name in ("a", "b", "b"):
        lake.put("in/a.csv", f"id,n\n{name},1\n")
        sync(workspace)
    assert ids(workspace) == ["a", "b"]


def test_rows_that_do_not_fit_go_to_quarantine(workspace: Workspace, lake: TestBucket) -> None:
    lake.put("in/a.ndjson", rows({"id": "a", "n": 1}, {"id": "b", "n": "many"}))
    workspace.deploy(lake.files())
    job = sync(workspace)
    assert (job.status, job.result["rows"], job.result["quarantine_rows"]) == ("done", 1, 1)
    assert [row["id"] for row in workspace.sql("SELECT id FROM events_quarantine")] == ["b"]


def test_a_broken_file_keeps_no_others_and_is_tried_again_on_request(workspace: Workspace, lake: TestBucket) -> None:
    lake.put("in/a.ndjson.gz", b"no gzip")
    lake.put("in/b.doc", "what is it?")
    lake.put("in/c.csv", "id,n\nc,1\n")
    workspace.deploy(lake.files())
    for again, failed in ((False, 2), (False, 0), (True, 2)):
        job = sync(workspace, again=again)
        assert job.status == ("error" if failed else "done")
        assert job.result["files_failed"] == failed
        assert ids(workspace) == ["c"]
    job = sync(workspace)
    assert "2 of 2 files were not imported. in/a.ndjson.gz: The gzip file is broken" in job.error
    lake.put("in/a.ndjson.gz", gzip.compress(rows({"id": "a", "n": 1}).encode()))
    assert sync(workspace, again=False).status == "done"
    assert ids(workspace) == ["a", "c"]


def test_an_import_that_was_interrupted_goes_on_where_it_was(
    workspace: Workspace, lake: TestBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{n:06}" for n in range(240_000)]
    lake.put("in/a.ndjson", "".join(f'{{"id":"{name}","n":1,"pad":"{"x" * 100}"}}\n' for name in names))
    workspace.deploy(lake.files())
    write, parts = Importer._write_all, list[int]()

    def fail(importer: Importer, into: Any, some: Any, *given: Any) -> None:
        if len(parts) >= 2:
            raise OSError(28, "No space left on device")
        parts.extend(number for number, _ in some)
        write(importer, into, some, *given)

    with monkeypatch.context() as during:
        during.setattr(Importer, "_write_all", fail)
        assert sync(workspace).status == "error"
    assert 0 < len(ids(workspace)) < len(names)
    job = sync(workspace, again=False)
    assert job.status == "done"
    assert ids(workspace) == names


def test_a_file_that_comes_slowly_does_not_keep_the_server_from_stopping(
    workspace: Workspace, lake: TestBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()

    def drip(_objects: Objects, _file: File, _into: Path, progress: Callable[[int], None], _: object) -> str:
        begun.set()
        for n in range(3_000):
            progress((2 << 20) + n)
            time.sleep(0.02)
        return ""

    monkeypatch.setattr(Objects, "fetch", drip)
    lake.put("in/a.csv", "id,n\na,1\n")
    workspace.deploy(lake.files())
    jobs, job = workspace._services.jobs, workspace.data.buckets.start("events", again=True)
    assert begun.wait(60)
    jobs.cancel(job)
    jobs.wait(job.id, 30)
    assert jobs.running(job.id) is None
    assert workspace._services.catalog.jobs.get(workspace.id, job.id).status == "cancelled"  # type: ignore[union-attr]


def test_what_is_no_bucket(workspace: Workspace, lake: TestBucket) -> None:
    files = {**lake.files(), "plain.datasource": "SCHEMA >\n    id String `json:$.id`\n"}
    workspace.deploy(files)
    with pytest.raises(ClickpipeError, match="no IMPORT_BUCKET_URI"):
        workspace.data.buckets.start("plain", again=True)
    with pytest.raises(ClickpipeError, match="does not exist"):
        workspace.data.buckets.start("nothing", again=True)


def test_secrets_are_not_shown(workspace: Workspace, lake: TestBucket, caplog: pytest.LogCaptureFixture) -> None:
    files = lake.files()
    connection = files["lake.connection"].replace("a-secret-key", '{{ tb_secret("lake_secret") }}')
    workspace.deploy({**files, "lake.connection": connection.replace(lake.url, "http://127.0.0.1:9")})
    with pytest.raises(ClickpipeError, match="lake_secret"):
        workspace.data.buckets.start("events", again=True)
    workspace._services.catalog.secrets.put(workspace.id, "lake_secret", "hidden-from-all")
    job = sync(workspace)
    assert job.error == "The bucket cannot be fetched: Connection refused."
    assert "hidden-from-all" not in caplog.text


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


READER = """
    import json, sys, time
    from pathlib import Path
    from clickpipe.config import Settings
    from clickpipe.runtime import Instance

    with Instance(Path(sys.argv[1]), Settings(import_private_urls="allow", bucket_poll_seconds=0.1)) as instance:
        instance.default.deploy(json.loads(sys.argv[2]))
        while True:
            time.sleep(0.02)
            sys.stdout.write(f"{instance.default.sql('SELECT count() AS n FROM events')[0]['n']}\\n")
            sys.stdout.flush()
"""
FOUND = """
    import json, sys, time
    from pathlib import Path
    from clickpipe.config import Settings
    from clickpipe.runtime import Instance

    with Instance(Path(sys.argv[1]), Settings(import_private_urls="allow", bucket_poll_seconds=0.1)) as instance:
        end = time.monotonic() + 90
        while time.monotonic() < end:
            found = instance.default.sql("SELECT count() AS rows, uniqExact(id) AS ids FROM events")[0]
            if int(found["rows"]) >= int(sys.argv[2]):
                break
            time.sleep(0.2)
        time.sleep(2)
        sums = instance.default.sql("SELECT sum(n) AS n FROM sums")[0]["n"]
        found = instance.default.sql("SELECT count() AS rows, uniqExact(id) AS ids FROM events")[0]
        print(json.dumps([int(found["rows"]), int(found["ids"]), int(sums)]))
"""


@pytest.mark.slow
def test_no_row_is_lost_or_twice_when_it_is_killed(run_python: RunPython, s3: str, tmp_path: Path) -> None:
    lake, moments = TestBucket(s3), random.Random(5)
    kills, each = int(os.environ.get("CRASHES", "6")), 200_000
    made, there = json.dumps(lake.files()), 0
    for kill in range(kills):
        lines = (f'{{"id":"{kill} {n}","n":1,"pad":"{"x" * 60}"}}\n' for n in range(each))
        lake.put(f"in/{kill}.ndjson", "".join(lines))
        there += each
        killed(READER, tmp_path, made, wait=moments.uniform(0, 4))
    found = json.loads(run_python(FOUND, tmp_path, str(there)).stdout)
    assert found == [there, there, there]
