"""Engines that keep the last of several rows keep it when a table is made anew, also if it arrives meanwhile."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest

from clickpipe.engine import Engine
from clickpipe.ingest import Lines
from clickpipe.runtime import Instance, Workspace

KEYS = 2000
REPLACING = "SCHEMA >\n    id UInt64,\n    n Int32\n\nENGINE ReplacingMergeTree\nENGINE_SORTING_KEY id\n"
LATEST = (
    "SCHEMA >\n    id UInt64,\n    n SimpleAggregateFunction(anyLast, Int32)\n\n"
    "ENGINE AggregatingMergeTree\nENGINE_SORTING_KEY id\n"
)
VIEW = "NODE n\nSQL >\n    SELECT id, n FROM events\nTYPE materialized\nDATASOURCE {}\n"
FILES = {
    "events.datasource": "SCHEMA >\n    id UInt64,\n    n Int32\n\nENGINE_SORTING_KEY id\n",
    "own.datasource": REPLACING,
    "made.datasource": REPLACING,
    "latest.datasource": LATEST,
    "made_mv.pipe": VIEW.format("made"),
    "latest_mv.pipe": VIEW.format("latest"),
}
TABLES = ("own", "made", "latest")
WIDER = {name: text.replace("Int32", "Int64") for name, text in FILES.items()}
ADDED = {**FILES, "own.datasource": REPLACING.replace("n Int32", "n Int32,\n    tag String DEFAULT 'none'")}
CHANGED = {**FILES, **{f"{name}_mv.pipe": VIEW.format(name).replace(" n ", " n + 0 AS n ") for name in TABLES[1:]}}


def _write(workspace: Workspace, round_: int) -> None:
    """Write another value for each key; in the last row, not in the largest."""
    rows = b"\n".join(b'{"id":%d,"n":%d}' % (key, (7 - round_) * KEYS + key) for key in range(KEYS))
    for name in ("events", "own"):
        assert workspace.append(name, [Lines(rows)]).successful_rows == KEYS


def _unlike(workspace: Workspace, round_: int) -> dict[str, int]:
    """Return for each table how many keys have not got the value of this round, or are missing."""
    sql = "SELECT {} - countIf(n = {} * {} + id) AS c FROM (SELECT * FROM {} FINAL)"
    return {name: workspace.sql(sql.format(KEYS, 7 - round_, KEYS, name))[0]["c"] for name in TABLES}


NONE = dict.fromkeys(TABLES, 0)


@pytest.fixture
def written(workspace: Workspace) -> Workspace:
    """The project, with three values for each key, in parts of their own."""
    workspace.deploy(FILES)
    for round_ in range(3):
        _write(workspace, round_)
    assert _unlike(workspace, 2) == NONE
    return workspace


@pytest.mark.parametrize("files", [WIDER, ADDED, CHANGED], ids=["rewritten", "altered", "a view"])
def test_the_last_row_is_kept_in_a_deployment(
    engine: Engine, written: Workspace, monkeypatch: pytest.MonkeyPatch, files: dict[str, str]
) -> None:
    """Also the one that arrives while the rows before it are copied."""
    execute, filling, go_on = engine.execute, threading.Event(), threading.Event()

    def run(sql: str, *args: Any, **more: Any) -> Any:
        if re.match(r"INSERT INTO \S+_part`|ALTER TABLE \S+_history` ADD COLUMN", sql):
            filling.set()
            assert go_on.wait(30)
        return execute(sql, *args, **more)

    monkeypatch.setattr(engine, "execute", run)
    thread = threading.Thread(target=lambda: written.deploy(files))
    thread.start()
    try:
        assert filling.wait(30)
        rows = [{"id": key, "n": (7 - 3) * KEYS + key} for key in range(KEYS)]
        for name in ("events", "own"):
            assert written.ingest(name, rows).successful_rows == KEYS
    finally:
        go_on.set()
        thread.join()
    assert _unlike(written, 3) == NONE
    _write(written, 4)
    assert _unlike(written, 4) == NONE


def test_the_last_row_is_kept_when_a_target_is_made_anew(
    instance: Instance, engine: Engine, written: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute, arrived = engine.execute, list[object]()

    def run(sql: str, *args: Any, **more: Any) -> Any:
        if sql.startswith("INSERT INTO") and "_populated_" in sql and not arrived:
            arrived.append(written.ingest("events", [{"id": key, "n": 4 * KEYS + key} for key in range(KEYS)]))
        return execute(sql, *args, **more)

    monkeypatch.setattr(engine, "execute", run)
    for name in TABLES[1:]:
        arrived.clear()
        job = written.jobs.rebuild(f"{name}_mv")
        instance.jobs.wait(job.id)
        found = instance.catalog.jobs.get(written.id, job.id)
        assert found is not None
        assert (found.status, len(arrived)) == ("done", 1)
    assert {name: _unlike(written, 3)[name] for name in TABLES[1:]} == dict.fromkeys(TABLES[1:], 0)
