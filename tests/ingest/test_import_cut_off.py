"""A file on its way in, or a copy, that is cut off at any statement and goes on: each row is in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clickpipe.engine import EngineError, Settings
from clickpipe.ingest import Dialect, Importer, Replacing, json_file, read_file
from clickpipe.jobs import run_copy
from clickpipe.runtime import Instance, Workspace
from tests.ingest.dying import Dying, forget_memory
from tests.ingest.test_uncertain_views import CHAIN, VIEW, ids

SOURCE = "SCHEMA >\n    id UInt64 `json:$.id`,\n    n UInt8 `json:$.n`\nENGINE_SORTING_KEY id\n"
PROJECT = {
    **CHAIN,
    "events.datasource": SOURCE,
    "source.datasource": SOURCE,
    "copy.pipe": "NODE a\nSQL >\n    SELECT id, n FROM source\nTYPE copy\n"
    "TARGET_DATASOURCE events\nCOPY_MODE replace\n",
}
VIEWS = {
    "certain": {"second_mv.pipe": VIEW.format("SELECT id FROM firsts WHERE throwIf(id % 5 = 1) = 0", "seconds")},
    "uncertain": {
        "second_mv.pipe": VIEW.format("SELECT id FROM firsts WHERE throwIf(rand(id) % 4 = 1) = 0", "seconds")
    },
}
PARQUET = "SELECT number AS id, if(id = 7, 300, 1) AS n FROM numbers(20)"  # in parts, of which one does not fit
FORMS = {
    "ndjson": b"".join(b'{"id":%d,"n":%d}\n' % (n, 300 if n == 7 else 1) for n in range(20)),
    "csv": b"id,n\n" + b"".join(b"%d,%d\n" % (n, 300 if n == 7 else 1) for n in range(20)),
    "csv of other widths": b"id,n\n" + b"".join(b"%d,1%s\n" % (n, b",x" if n == 7 else b"") for n in range(20)),
    "parquet": b"",
}


def importer(workspace: Workspace, engine: Any) -> Importer:
    return Importer(engine, workspace.data._tables, workspace._services.ingestion_log)


def fill(workspace: Workspace, instance: Instance, table: str, value: str, rows: int) -> None:
    target = workspace.queries.live().physical.tables[table]
    instance.engine.execute(f"INSERT INTO {target} SELECT {value} AS id, 1 AS n FROM numbers({rows})")


def stored(workspace: Workspace) -> list[int]:
    """Return the rows of table and quarantine, those of the latter as they are counted."""
    there = ids(workspace, "events")
    assert there == ids(workspace, "firsts") == ids(workspace, "seconds")
    assert workspace.sql("SELECT sum(n) AS n FROM sums") == [{"n": len(there)}]
    kept = [int(row["id"]) if row["id"] else 7 for row in workspace.sql("SELECT id FROM events_quarantine")]
    return sorted([*there, *kept])


@pytest.mark.parametrize("views", ["certain", pytest.param("uncertain", marks=pytest.mark.slow)])
@pytest.mark.parametrize("form", FORMS)
def test_rows_that_are_appended(
    workspace: Workspace, instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, views: str
) -> None:
    workspace.deploy({**PROJECT, **VIEWS[views]})
    source = workspace.queries.live().compiled.data_sources["events"]
    monkeypatch.setattr(json_file, "_CHUNK", 100)
    file = tmp_path / "file"
    groups: Settings = {"output_format_parquet_row_group_size": 5, "max_block_size": 5}
    file.write_bytes(FORMS[form] or instance.engine.execute(PARQUET, output="Parquet", settings=groups).body)
    step, ended = 0, False
    while not ended:
        for table in ("events", "firsts", "seconds", "sums"):
            workspace.data.truncate(table)
        told: list[dict[str, Any]] = [{}]
        try:
            with read_file(file, form.split(maxsplit=1)[0], source, Dialect()) as rows:
                dying = Dying(instance.engine, step)
                importer(workspace, dying).append("events", rows, report=told.append)
            ended = True
        except EngineError:
            forget_memory(instance.engine)
            with read_file(file, form.split(maxsplit=1)[0], source, Dialect()) as rows:
                again = importer(workspace, instance.engine)
                done = again.append("events", rows, report=lambda _: None, before=told[-1])
            assert done.rows == len(ids(workspace, "events"))
        assert stored(workspace) == list(range(20)), step
        step += 1
    assert step > 3


def test_rows_that_replace(workspace: Workspace, instance: Instance, tmp_path: Path) -> None:
    workspace.deploy({**PROJECT, **VIEWS["certain"]})
    source = workspace.queries.live().compiled.data_sources["events"]
    file = tmp_path / "file"
    file.write_bytes(FORMS["csv"])
    step, ended = 0, False
    while not ended:
        workspace.data.truncate("events")
        fill(workspace, instance, "events", "100 + 5 * number", 2)
        before = [100, 105]
        told: list[dict[str, Any]] = [{}]
        for engine in (Dying(instance.engine, step), instance.engine):
            try:
                with read_file(file, "csv", source, Dialect()) as rows:
                    doing = importer(workspace, engine)
                    doing.replace("events", rows, Replacing(), report=told.append, before=told[-1])
                ended = engine is not instance.engine
                break
            except EngineError:
                forget_memory(instance.engine)
                assert ids(workspace, "events") in (before, [n for n in range(20) if n != 7])
                workspace.deployments._deployer._tables.try_drop(
                    name for name in workspace.deployments._deployer._tables.existing() if "_import_" in name
                )
        assert ids(workspace, "events") == [n for n in range(20) if n != 7]
        assert workspace.sql("SELECT id FROM events_quarantine WHERE id = '7'") == [{"id": "7"}]
        step += 1
    assert step > 3


def test_a_copy_that_replaces(workspace: Workspace, instance: Instance) -> None:
    workspace.deploy({**PROJECT, **VIEWS["certain"]})
    step, ended = 0, False
    while not ended:
        for table in ("events", "source"):
            workspace.data.truncate(table)
        fill(workspace, instance, "events", "100", 1)
        fill(workspace, instance, "source", "number", 6)
        for engine in (Dying(instance.engine, step), instance.engine):
            try:
                assert run_copy(engine, workspace.queries.live(), "copy", {}) == 6
                ended = engine is not instance.engine
                break
            except EngineError:
                assert ids(workspace, "events") in ([100], list(range(6)))
        assert ids(workspace, "events") == list(range(6))
        step += 1
    assert step > 3
