"""Rows become files of a bucket, and a manifest lists them: nobody takes half a run for a whole one."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from clickpipe.catalog import Job
from clickpipe.connect import Outgoing
from clickpipe.diagnostics import ClickpipeError
from clickpipe.jobs import CopySchedule
from clickpipe.runtime import Instance, Workspace
from tests.conftest import RunPython
from tests.connect.buckets import TestBucket, serving
from tests.runtime.test_crash import killed

SOURCE = (
    "SCHEMA >\n    id UInt64 `json:$.id`,\n    kind String `json:$.kind`,\n    at DateTime `json:$.at`\n\n"
    "ENGINE_SORTING_KEY id\n"
)
SELECT = "SELECT id, kind, at FROM events ORDER BY id"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture
def lake(s3: str, instance: Instance, monkeypatch: pytest.MonkeyPatch) -> TestBucket:
    monkeypatch.setattr(instance._services, "settings", replace(instance.settings, import_private_urls="allow"))
    return TestBucket(s3)


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


def test_one_file_and_its_manifest(workspace: Workspace, lake: TestBucket) -> None:
    deployed(workspace, project(lake, "all"))
    job = run(workspace)
    assert (job.status, job.error) == ("done", "")
    assert data(lake) == ["out/all.csv"]
    text = lake.get("out/all.csv")
    assert text.decode().splitlines()[:2] == ['"id","kind","at"', '0,"a","2026-01-01 10:00:00"']
    assert ids(text) == [0, 1, 2, 3]
    counts = {"rows": 4, "bytes": len(text)}
    assert job.result == {"rows": 4, "bytes": len(text), "files": {"out/all.csv": counts}}
    manifest = json.loads(lake.get(f"out/_manifests/out/{job.id}.json"))
    assert manifest["files"] == [{"key": "out/all.csv", **counts}]
    assert (manifest["pipe"], manifest["job_id"], manifest["format"]) == ("out", job.id, "csv")


@pytest.mark.parametrize(
    ("format_", "compression", "ending"),
    [("csv", "gz", "csv.gz"), ("ndjson", "none", "ndjson"), ("ndjson", "gzip", "ndjson.gz")]
    + [("parquet", one, "parquet") for one in ("", "none", "gz", "gzip", "snappy")],
)
def test_formats_and_compressions(
    workspace: Workspace, lake: TestBucket, format_: str, compression: str, ending: str
) -> None:
    options = {"EXPORT_FORMAT": format_, **({"EXPORT_COMPRESSION": compression} if compression else {})}
    deployed(workspace, project(lake, "all", **options))
    job = run(workspace)
    assert (job.status, data(lake)) == ("done", [f"out/all.{ending}"])
    body = lake.get(f"out/all.{ending}")
    if format_ == "parquet":
        table = pq.read_table(io.BytesIO(body))
        codec = pq.ParquetFile(io.BytesIO(body)).metadata.row_group(0).column(0).compression
        wanted = {"gz": "GZIP", "gzip": "GZIP", "none": "UNCOMPRESSED"}.get(compression, "SNAPPY")
        assert (table.column("id").to_pylist(), codec) == ([0, 1, 2, 3], wanted)
        return
    text = gzip.decompress(body) if ending.endswith(".gz") else body
    found = ids(text) if format_ == "csv" else [json.loads(line)["id"] for line in text.splitlines()]
    assert found == [0, 1, 2, 3]


def test_columns_times_numbers_and_the_job_name_files(workspace: Workspace, lake: TestBucket) -> None:
    deployed(workspace, project(lake, "{kind}/{at, '%Y/%m-%d'}_{job_id}"))
    job = run(workspace)
    assert data(lake) == [f"out/{kind}/2026/01-0{day}_{job.id}.csv" for kind in "ab" for day in (1, 2)]
    assert [ids(lake.get(key)) for key in data(lake)] == [[0], [2], [1], [3]]
    workspace.deploy(project(lake, '"part{2}"', EXPORT_BUCKET_URI=f"s3://{lake.name}/parts/"))
    assert run(workspace).status == "done"
    assert ids(lake.get("parts/part0.csv")) == [0, 2]
    assert ids(lake.get("parts/part1.csv")) == [1, 3]


def test_new_files_never_replace_others(workspace: Workspace, lake: TestBucket) -> None:
    deployed(workspace, project(lake, "{kind}", EXPORT_STRATEGY="@new"))
    lake.put("out/b.csv", "somebody else's")
    jobs = [run(workspace) for _ in range(2)]
    assert data(lake) == ["out/a.1.csv", "out/a.csv", "out/b.1.csv", "out/b.2.csv", "out/b.csv"]
    assert lake.get("out/b.csv") == b"somebody else's"
    manifests = [key for key in lake.names() if "_manifests/" in key]
    assert manifests == sorted(f"out/_manifests/out/{job.id}.json" for job in jobs)


@pytest.mark.parametrize(
    "strategy", ["EXPORT_STRATEGY replace", 'EXPORT_STRATEGY "truncate"', "EXPORT_WRITE_STRATEGY truncate"]
)
def test_a_run_replaces_the_files_of_the_last(workspace: Workspace, lake: TestBucket, strategy: str) -> None:
    name, _, value = strategy.partition(" ")
    sql = "SELECT id, kind, at FROM events WHERE id >= {{Int32(first, 0)}} ORDER BY id"
    deployed(workspace, project(lake, "{kind}/{id}", sql, **{name: value}))
    lake.put("out/a/9.csv", "somebody else's")
    run(workspace)
    assert data(lake) == ["out/a/0.csv", "out/a/2.csv", "out/a/9.csv", "out/b/1.csv", "out/b/3.csv"]
    assert run(workspace, first="2").result["rows"] == 2
    assert data(lake) == ["out/a/2.csv", "out/a/9.csv", "out/b/3.csv"]
    run(workspace, mode="append", first="3")
    assert data(lake) == ["out/a/2.csv", "out/a/9.csv", "out/b/3.1.csv", "out/b/3.csv"]
    assert run(workspace, first="9").result == {"rows": 0, "bytes": 0, "files": {}}
    assert data(lake) == ["out/a/9.csv", "out/b/3.1.csv"]


def test_a_manifest_names_only_files_in_the_sinks_folder(workspace: Workspace, lake: TestBucket) -> None:
    deployed(workspace, project(lake, "all", EXPORT_STRATEGY="replace"))
    lake.put("precious.csv", "x")
    lake.put("out/_manifests/other/latest.json", "x")
    keys = ["precious.csv", "out/_manifests/other/latest.json", "out/../precious.csv"]
    lake.put("out/_manifests/out/latest.json", json.dumps({"files": [{"key": key} for key in keys]}))
    assert run(workspace).status == "done"
    assert lake.get("precious.csv") == lake.get("out/_manifests/other/latest.json") == b"x"
    lake.put("out/_manifests/out/latest.json", "no manifest")
    job = run(workspace)
    assert (job.status, "is not a manifest of a sink" in job.error) == ("error", True)


@pytest.mark.parametrize(
    ("template", "sql", "said"),
    [
        ("{none}", SELECT, "names the column 'none', but the query returns id, kind, at"),
        ("{kind, '%Y'}", SELECT, "has a format for 'kind', which is String and not a time"),
        ("{id}", "SELECT number AS id FROM numbers(1001)", "makes more than 1000 files in one run"),
        ("all", "SELECT throwIf(id = 2, 'not two') AS t FROM events", "not two"),
    ],
)
def test_a_run_that_cannot_be_writes_nothing(
    workspace: Workspace, lake: TestBucket, template: str, sql: str, said: str
) -> None:
    deployed(workspace, project(lake, template, sql))
    job = run(workspace)
    assert (job.status, lake.names()) == ("error", [])
    assert said in job.error
    assert "clickpipe_exports" not in job.error
    workspace._services.service_log.flush()
    (told,) = workspace.sql("SELECT result, error, pipe_name, job_id FROM tinybird.sinks_ops_log")
    assert (told["result"], told["pipe_name"], told["job_id"]) == ("error", "out", job.id)
    assert said in told["error"]


@pytest.mark.parametrize("strategy", ["@new", "replace"])
def test_no_value_of_a_row_leads_out_of_the_folder(workspace: Workspace, lake: TestBucket, strategy: str) -> None:
    values = [
        "",
        ".",
        "..",
        "../x",
        "a/../../x",
        "/",
        "_manifests/out/latest",
        "_manifests",
        "x" * 2000,
        "é" * 900,
        "a\nb",
    ]
    sql = f"SELECT arrayJoin({values!r}) AS v"
    deployed(workspace, project(lake, "{v}", sql, EXPORT_STRATEGY=strategy, EXPORT_FORMAT="ndjson"))
    job = run(workspace)
    assert (job.status, job.error) == ("done", "")
    written = data(lake)
    assert len(written) == len(values)
    assert all(key.startswith("out/") and len(key.encode()) <= 1024 for key in written)
    assert all({"", ".", ".."}.isdisjoint(key.split("/")) for key in written)
    assert sorted(json.loads(lake.get(key))["v"] for key in written) == sorted(values)


def test_what_a_run_did_is_in_the_ops_log(workspace: Workspace, lake: TestBucket) -> None:
    deployed(workspace, project(lake, "{kind}", "SELECT id, kind FROM events WHERE id < {{Int32(most, 9)}}"))
    job = run(workspace, most=3)
    workspace._services.service_log.flush()
    (told,) = workspace.sql("SELECT * FROM tinybird.sinks_ops_log")
    assert (told["job_id"], told["service"], told["result"], told["error"]) == (job.id, "s3", "ok", None)
    assert (int(told["written_rows"]), told["output"]) == (3, ["out/a.csv", "out/b.csv"])
    assert told["parameters"] == {"most": "3"}
    assert told["options"]["EXPORT_FILE_TEMPLATE"] == "{kind}"


def test_a_run_that_a_stop_cut_off_goes_on_with_the_same_files(
    workspace: Workspace, lake: TestBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed(workspace, project(lake, "{kind}"))
    put = Outgoing.put
    sent: list[str] = []

    def fail(self: Outgoing, key: str, body: Path | bytes) -> None:
        if sent:
            message = "the server stops here"
            raise ClickpipeError(message)
        sent.append(key)
        put(self, key, body)

    monkeypatch.setattr(Outgoing, "put", fail)
    cut = run(workspace)
    assert (cut.status, data(lake), "keys" in cut.result) == ("error", ["out/a.csv"], True)
    assert not [key for key in lake.names() if "_manifests/" in key]
    monkeypatch.setattr(Outgoing, "put", put)
    job = replace(cut, status="working")
    workspace.jobs.take_up(job)
    workspace._services.jobs.wait(job.id)
    assert data(lake) == ["out/a.csv", "out/b.csv"]  # and no a.1.csv
    assert workspace._services.engine.storage.tables("clickpipe_exports") == {}


def test_a_schedule_runs_it_unless_it_is_paused_or_off(
    workspace: Workspace, lake: TestBucket, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed(workspace, project(lake, "all", EXPORT_SCHEDULE='"* * * * *"'))
    schedule, now = CopySchedule(instance.workspaces), datetime.now(UTC)

    def due(minutes: int) -> list[str]:
        jobs = schedule.run_due(now + timedelta(minutes=minutes))
        for job in jobs:
            instance.jobs.wait(job.id)
        return [job.resource for job in jobs]

    assert due(2) == ["out"]
    workspace.sinks.pause("out", paused=True)
    assert due(4) == []
    workspace.sinks.pause("out", paused=False)
    monkeypatch.setattr(instance._services, "settings", replace(instance.settings, sinks="off"))
    assert due(6) == []
    assert data(lake) == ["out/all.csv"]


def test_what_is_refused(workspace: Workspace, lake: TestBucket) -> None:
    deployed(workspace, project(lake, "all"))
    for name, mode, said in (("events", None, "not a sink"), ("out", "new", "append or replace")):
        with pytest.raises(ClickpipeError, match=said):
            workspace.sinks.start(name, {}, mode)
    with pytest.raises(ClickpipeError, match="has no schedule"):
        workspace.sinks.pause("out", paused=True)


def test_a_key_that_may_not_write_is_told(workspace: Workspace, lake: TestBucket) -> None:
    deployed(workspace, project(lake, "all", EXPORT_BUCKET_URI="s3://nobody-has-this-bucket/x"))
    job = run(workspace)
    assert (job.status, job.error) == ("error", "The bucket cannot be written to: there is no such bucket.")


def test_private_addresses_are_refused(
    workspace: Workspace, lake: TestBucket, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed(workspace, project(lake, "all"))
    monkeypatch.setattr(instance._services, "settings", replace(instance.settings, import_private_urls="refuse"))
    job = run(workspace)
    assert (job.status, "leads to an address that is not public" in job.error) == ("error", True)
    assert lake.names() == []


@pytest.mark.parametrize("asked", ["HEAD", "PUT"])
def test_a_run_that_waits_for_its_bucket_can_be_cancelled(
    workspace: Workspace, lake: TestBucket, instance: Instance, asked: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        files = project(lake, "all", **({"EXPORT_STRATEGY": "replace"} if asked == "PUT" else {}))
        files["lake.connection"] = files["lake.connection"].replace(lake.url, url)
        deployed(workspace, files)
        job = workspace.sinks.start("out", {})

        def take() -> socket.socket:
            silent.settimeout(60)
            connection, _ = silent.accept()
            connection.settimeout(60)
            return connection

        with take() as first:
            method = first.recv(4)
            if asked == "PUT":  # first it looks for the last manifest
                first.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                with take() as second:
                    method = second.recv(4)
                    instance.jobs.cancel(job)
                    instance.jobs.wait(job.id, 60)
            else:
                instance.jobs.cancel(job)
                instance.jobs.wait(job.id, 60)
        assert method.strip().decode() == asked
        found = instance.catalog.jobs.get(workspace.id, job.id)
        assert found is not None
        assert found.status == "cancelled"


RUNS = """
    import json, sys
    from pathlib import Path
    from clickpipe.config import Settings
    from clickpipe.runtime import Instance

    with Instance(Path(sys.argv[1]), Settings(import_private_urls="allow")) as instance:
        workspace = instance.default
        if workspace.live is None:
            workspace.deploy(json.loads(sys.argv[2]))
            workspace.ingest("events", [{"id": n, "kind": "a", "at": 0} for n in range(20_000)])
        while True:
            job = workspace.sinks.start("out", {})
            print(job.id, flush=True)
            instance.jobs.wait(job.id)
"""
ENDS = """
    import json, sys
    from pathlib import Path
    from clickpipe.config import Settings
    from clickpipe.runtime import Instance

    with Instance(Path(sys.argv[1]), Settings(import_private_urls="allow")) as instance:
        instance.jobs.wait_for_all(instance.default.id)
        jobs = instance.catalog.jobs.newest(instance.default.id)
        print(json.dumps([[job.id, job.status, job.error] for job in jobs if job.kind == "sink"]))
"""


@pytest.mark.slow
def test_each_run_is_whole_once_when_the_server_is_killed(run_python: RunPython, s3: str, tmp_path: Path) -> None:
    lake, moments = TestBucket(s3), random.Random(3)
    files = json.dumps(project(lake, "part{6}"))
    started = {line for _ in range(5) for line in killed(RUNS, tmp_path, files, wait=moments.uniform(0, 1.5)) if line}
    jobs = json.loads(run_python(ENDS, tmp_path).stdout)
    assert started <= {job_id for job_id, _, _ in jobs}
    assert {(status, error) for _, status, error in jobs} == {("done", "")}
    manifests = [json.loads(lake.get(f"out/_manifests/out/{job_id}.json")) for job_id, _, _ in jobs]
    assert [sum(file["rows"] for file in one["files"]) for one in manifests] == [20_000] * len(jobs)
    assert sorted(file["key"] for one in manifests for file in one["files"]) == data(lake)
    for one in manifests:
        found = [number for file in one["files"] for number in ids(lake.get(file["key"]))]
        assert sorted(found) == list(range(20_000))
