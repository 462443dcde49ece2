"""Rows become files of a bucket, and a manifest lists them: nobody takes half a run for a whole one."""

from __future__ import annotations

import gzip
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from clickpipe.diagnostics import ClickpipeError
from clickpipe.jobs import CopySchedule
from clickpipe.runtime import Instance, Workspace
from tests.connect.buckets import TestBucket
from tests.runtime.sinks import SELECT, data, deployed, ids, project, run


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
    "strategy",
    [
        "EXPORT_STRATEGY replace",
        'EXPORT_STRATEGY "truncate"',
        "EXPORT_WRITE_STRATEGY truncate",
        "EXPORT_WRITE_STRATEGY replace",
    ],
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
    others = ["out/../precious.csv", "out/by_hand.json", "out/./x.csv", "out/_manifests/other/x.csv"]
    for key in others:
        lake.put(key, "x")
    keys = ["precious.csv", "out/_manifests/other/latest.json", *others]
    lake.put("out/_manifests/out/latest.json", json.dumps({"files": [{"key": key} for key in keys]}))
    assert run(workspace).status == "done"
    assert {key: lake.get(key) for key in keys} == dict.fromkeys(keys, b"x")
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
