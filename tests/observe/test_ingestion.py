"""What was done to data sources, told in SQL."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import Lines
from clickpipe.runtime import Instance, Upload, Workspace

EVENTS = "SCHEMA >\n    id String,\n    n Int32\n\nENGINE_SORTING_KEY id\n"
SUMS = (
    "SCHEMA >\n    id String,\n    n SimpleAggregateFunction(sum, Int64)\n\n"
    "ENGINE AggregatingMergeTree\nENGINE_SORTING_KEY id\n"
)
VIEW = """\
NODE n
SQL >
    SELECT id, sum(e.n) AS n FROM events AS e WHERE throwIf(e.n > 100) = 0 GROUP BY id
TYPE materialized
DATASOURCE sums
"""
LOG = """\
NODE n
SQL >
    SELECT event_type, sum(rows) AS rows, sum(rows_quarantine) AS bad
    FROM tinybird.datasources_ops_log
    WHERE result = 'ok'
    GROUP BY event_type
    ORDER BY event_type
TYPE endpoint
"""
FILES = {
    "events.datasource": EVENTS,
    "kept.datasource": EVENTS,
    "sums.datasource": SUMS,
    "sums_mv.pipe": VIEW,
    "keep.pipe": "NODE n\nSQL >\n    SELECT id, n FROM events\nTYPE copy\nTARGET_DATASOURCE kept\n",
    "log.pipe": LOG,
}


@pytest.fixture
def deployed(workspace: Workspace) -> Workspace:
    workspace.deploy(FILES)
    return workspace


def test_operations_are_told_of(instance: Instance, deployed: Workspace, tmp_path: Path) -> None:
    deployed.data.submit("events", Lines.of([b'{"id":"a","n":1}', b'{"id":"b","n":"x"}'])).result()
    with pytest.raises(ClickpipeError):
        deployed.data.submit("events", Lines.of([b'{"id":"a","n":101}'])).result()
    for mode in ("append", "replace"):
        (tmp_path / mode).write_bytes(b"c,3\nd,x\n")
        job = deployed.data.import_file(Upload("events", tmp_path / mode, "csv"), mode=mode)
        instance.jobs.wait(job.id)
    instance.jobs.wait(deployed.copy("keep").id)
    deployed.data.delete_rows("events", "n = 3")
    deployed.data.truncate("kept")
    instance.service_log.flush()
    told = {row["event_type"]: (row["rows"], row["bad"]) for row in deployed.query("log")}
    assert told == {
        "append": (1, 1),
        "append-hfi": (1, 2),  # a row that the view refused too
        "copy": (1, None),
        "delete": (1, None),
        "replace": (1, 1),
        "truncate": (None, None),
    }
    blocks = deployed.sql("SELECT source, rows, quarantine_lines FROM tinybird.block_log ORDER BY source")
    assert blocks == [{"source": s, "rows": 2, "quarantine_lines": 1} for s in ("append", "replace")]


def test_requests_are_counted_by_second(instance: Instance, deployed: Workspace) -> None:
    for _ in range(3):
        deployed.data.submit("events", Lines.of([b'{"id":"a","n":1}', b"x"])).result()
    with pytest.raises(ClickpipeError):
        deployed.data.submit("events", Lines.of([b'{"id":"a","n":101}'])).result()
    instance.ingestion_log.close()
    instance.service_log.flush()
    sums = ", ".join(f"sum({name}) AS {name}" for name in ("successful_requests", "error_requests", "rows_quarantined"))
    (found,) = deployed.sql(f"SELECT {sums}, sum(bytes_received) AS size FROM tinybird.hfi_requests")
    expected: dict[str, Any] = {"successful_requests": 3, "error_requests": 1, "rows_quarantined": 4, "size": 72}
    assert found == expected


def test_requests_are_told_of_without_another_one(deployed: Workspace) -> None:
    deployed.data.submit("events", Lines.of([b'{"id":"a","n":1}'])).result()
    until = time.monotonic() + 60
    while deployed.sql("SELECT count() AS n FROM tinybird.hfi_requests") == [{"n": 0}]:
        assert time.monotonic() < until
        time.sleep(0.1)


def test_before_anything_was_told_there_is_nothing(deployed: Workspace) -> None:
    assert deployed.query("log") == []
    assert deployed.sql("SELECT count() AS n FROM tinybird.block_log") == [{"n": 0}]


def test_a_workspace_that_goes_takes_its_rows_with_it(instance: Instance) -> None:
    for _ in range(3):
        made = instance.workspaces.create("observed")
        made.deploy(FILES)
        made.data.submit("events", Lines.of([b'{"id":"a","n":1}'])).result()
        instance.ingestion_log.close()
        instance.workspaces.delete(made)
        instance.service_log.flush()
        sql = "SELECT count() FROM system.databases WHERE startsWith(name, {name:String})"
        assert instance.engine.execute(sql, {"name": made.database}, output="TSV").body == b"0\n"
