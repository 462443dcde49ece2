"""Rows that only the table itself refuses, and rows whose words look like an engine's, hold nobody back."""

from __future__ import annotations

from typing import Any

import pytest

from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import Ingester, IngestResult, Lines, WriteAheadLog
from clickpipe.ingest.probe import Probe
from clickpipe.runtime import Workspace
from tests.ingest.test_refused_rows import KEYS

ONLY_THE_TABLE = {
    "some rows": (KEYS["marks"], 20),
    "all rows": (
        {
            "t.datasource": "SCHEMA >\n    id UInt64 `json:$.id`,\n    n UInt8 `json:$.n`,\n"
            "    j JSON(a Int32) DEFAULT '{\"b\": 1}' CODEC(Delta)\nENGINE_SORTING_KEY id\n"
        },
        0,
    ),
}


@pytest.mark.parametrize(("files", "written"), ONLY_THE_TABLE.values(), ids=ONLY_THE_TABLE)
def test_rows_that_only_the_table_itself_refuses_are_found(
    workspace: Workspace,
    log: WriteAheadLog,
    instance: Any,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str],
    written: int,
) -> None:
    """What an engine or a codec refuses, a copy of the columns takes."""
    monkeypatch.setattr("clickpipe.ingest.probe._checked", lambda _: ())
    workspace.deploy(files)
    taker = Ingester(instance.engine, log, instance.catalog.positions, instance.registry)
    lines = [b'{"id":%d,"n":%d}' % (number, number % 3 != 0) for number in range(30)]
    try:
        pending = taker.submit(workspace.id, "t", Lines.of(lines))
        if written:
            assert pending.result(60) == IngestResult(written, 30 - written)
        else:
            with pytest.raises(ClickpipeError, match="None of the rows could be written; they are in quarantine"):
                pending.result(60)
    finally:
        taker.close()
    assert len(workspace.sql("SELECT id FROM t")) == written
    assert len(workspace.sql("SELECT id FROM t_quarantine")) == 30 - written
    assert log.unfinished() == []


@pytest.mark.parametrize("words", ["No space left on device", "errno: 28", "while pushing to view d.second_mv. (X)"])
def test_a_rows_own_words_are_not_taken_for_an_engines(
    workspace: Workspace, log: WriteAheadLog, instance: Any, words: str
) -> None:
    """ClickHouse puts a value into its message: it must not be taken for a full disk, and tried again for ever."""
    workspace.deploy(
        {
            "t.datasource": "SCHEMA >\n    id String `json:$.id`\nENGINE_SORTING_KEY id\n",
            "n.datasource": "SCHEMA >\n    n UInt32\nENGINE_SORTING_KEY n\n",
            "n_mv.pipe": "NODE a\nSQL >\n    SELECT toUInt32(id) AS n FROM t\nTYPE materialized\nDATASOURCE n\n",
        }
    )
    taker = Ingester(instance.engine, log, instance.catalog.positions, instance.registry)
    lines = [b'{"id":"%s"}' % words.encode(), b'{"id":"7"}']
    try:
        assert taker.submit(workspace.id, "t", Lines.of(lines)).result(60) == IngestResult(1, 1)
    finally:
        taker.close()
    assert workspace.sql("SELECT id FROM t") == [{"id": "7"}]
    assert log.unfinished() == []


def test_a_table_like_the_real_one_that_a_kill_left_goes_at_the_next_start(
    workspace: Workspace, log: WriteAheadLog, instance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it keeps nobody from making another one."""
    monkeypatch.setattr("clickpipe.ingest.probe._checked", lambda _: ())
    monkeypatch.setattr(Probe, "drop", lambda _: None)
    workspace.deploy(KEYS["marks"])
    before = set(instance.engine.storage.tables(workspace.database))
    taker = Ingester(instance.engine, log, instance.catalog.positions, instance.registry)
    try:
        for number in range(2):
            lines = Lines.of([b'{"id":%d,"n":%d}' % (number, n) for n in range(3)])
            assert taker.submit(workspace.id, "t", lines).result(60) == IngestResult(2, 1)
    finally:
        taker.close()
    assert len(set(instance.engine.storage.tables(workspace.database)) - before) == 2
    workspace.deployments.restore()
    assert set(instance.engine.storage.tables(workspace.database)) == before
