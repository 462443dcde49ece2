"""The files of a bucket become rows, each version of a file once."""

from __future__ import annotations

import gzip
import json
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from clickpipe.connect import File, Objects
from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import Importer
from clickpipe.runtime import Workspace
from tests.conftest import RunPython
from tests.connect.buckets import TestBucket, rows
from tests.runtime.imported import ids, sync
from tests.runtime.test_crash import killed


def test_all_formats_and_compressions(workspace: Workspace, lake: TestBucket) -> None:
    lake.put("in/a.csv", "id,n\ncsv,1\n")
    lake.put("in/b.ndjson", rows({"id": "ndjson", "n": 1}))
    lake.put("in/c.jsonl.gz", gzip.compress(rows({"id": "gz", "n": 1}).encode(), mtime=0))
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
    lake.put("in/a.ndjson.gz", gzip.compress(rows({"id": "a", "n": 1}).encode(), mtime=0))
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
        workspace.data.buckets.start("plain", again=True, most=1)
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
