from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import EngineError
from clickpipe.ingest import Ingester, WriteAheadLog
from clickpipe.ingest.body import row_binary
from clickpipe.ingest.log import Record
from clickpipe.runtime import Instance, Workspace

FILES = {
    "events.datasource": "SCHEMA >\n    id String `json:$.id`,\n    n Int32 `json:$.n`\n\nENGINE_SORTING_KEY id\n",
    "sums.datasource": "SCHEMA >\n    id String,\n    n SimpleAggregateFunction(sum, Int64)\n"
    "ENGINE AggregatingMergeTree\nENGINE_SORTING_KEY id\n",
    "sums_mv.pipe": "NODE n\nSQL >\n    SELECT id, sum(n) AS n FROM events GROUP BY id\n"
    "TYPE materialized\nDATASOURCE sums\n",
}
GOOD, BAD = b'{"id":"a","n":1}', b'{"id":"a","n":"many"}'


@pytest.fixture
def deployed(workspace: Workspace) -> Workspace:
    workspace.deploy(FILES)
    return workspace


@pytest.fixture
def log(tmp_path: Path) -> WriteAheadLog:
    return WriteAheadLog(tmp_path)


def ingester(instance: Instance, workspace: Workspace, log: WriteAheadLog, **limits: int) -> Ingester:
    return Ingester(instance.engine, log, lambda name: workspace.live if name == workspace.id else None, **limits)


def counts(workspace: Workspace) -> tuple[int, int, int]:
    """Rows in the data source, its quarantine, and what the view has summed up."""
    sql = (
        "SELECT (SELECT count() FROM events) AS a, (SELECT count() FROM events_quarantine) AS b, sum(n) AS c FROM sums"
    )
    row: dict[str, Any] = workspace.sql(sql)[0]
    return row["a"], row["b"], row["c"]


def test_each_request_is_told_its_own_counts(instance: Instance, deployed: Workspace, log: WriteAheadLog) -> None:
    taker = ingester(instance, deployed, log)
    with taker.paused(deployed.id):  # so that all of them become one batch
        bodies = [[GOOD], [GOOD, BAD], [BAD, BAD, b"no json"], []]
        futures = [taker.submit(deployed.id, "events", body) for body in bodies]
        assert not futures[0].done()
    found = [f.result() for f in futures]
    assert [(r.successful_rows, r.quarantined_rows) for r in found] == [(1, 0), (1, 1), (0, 3), (0, 0)]
    assert counts(deployed) == (2, 4, 2)
    assert log.unfinished() == []
    taker.close()


def test_a_batch_of_more_than_the_limit_is_split(instance: Instance, deployed: Workspace, log: WriteAheadLog) -> None:
    taker = ingester(instance, deployed, log, batch_bytes=len(GOOD))
    with taker.paused(deployed.id):
        futures = [taker.submit(deployed.id, "events", [GOOD]) for _ in range(3)]
    assert all(f.result().successful_rows == 1 for f in futures)
    assert counts(deployed) == (3, 0, 3)
    taker.close()


def test_what_was_logged_but_not_inserted_comes_in_once(
    instance: Instance, deployed: Workspace, log: WriteAheadLog
) -> None:
    records = [Record("r1", GOOD + b"\n" + BAD), Record("r2", GOOD)]
    log.write(deployed.id, "events", records)
    taker = ingester(instance, deployed, log)
    assert taker.recover() == 1
    assert counts(deployed) == (2, 1, 2)
    assert taker.recover() == 0
    taker.close()


def test_what_was_inserted_but_not_removed_does_not_come_in_again(
    instance: Instance, deployed: Workspace, log: WriteAheadLog
) -> None:
    segment = log.write(deployed.id, "events", [Record("r", GOOD + b"\n" + BAD)])
    taker = ingester(instance, deployed, log)
    assert deployed.live is not None
    taker._insert(deployed.live.physical.landings["events"], segment, [row_binary("r", [GOOD, BAD])])
    assert counts(deployed) == (1, 1, 1)
    assert taker.recover() == 1
    assert counts(deployed) == (1, 1, 1)
    taker.close()


def test_more_than_may_wait_is_refused(instance: Instance, deployed: Workspace, log: WriteAheadLog) -> None:
    taker = ingester(instance, deployed, log, queue_bytes=len(GOOD))
    with taker.paused(deployed.id):
        first = taker.submit(deployed.id, "events", [GOOD])
        with pytest.raises(ClickpipeError) as error:
            taker.submit(deployed.id, "events", [GOOD])
        assert error.value.status == 503
    first.result()
    taker.submit(deployed.id, "events", [GOOD]).result()  # there is room again
    assert counts(deployed) == (2, 0, 2)
    taker.close()


def test_a_data_source_that_is_gone(instance: Instance, deployed: Workspace, log: WriteAheadLog) -> None:
    taker = ingester(instance, deployed, log)
    for workspace, source in ((deployed.id, "nothing"), ("nowhere", "events")):
        with pytest.raises(ClickpipeError) as error:
            taker.submit(workspace, source, [GOOD]).result()
        assert error.value.status == 404
    log.write(deployed.id, "nothing", [Record("r", GOOD)])
    taker.recover()
    assert log.unfinished() == []
    taker.close()


def test_an_insert_that_fails_is_not_acknowledged_and_kept_aside(
    instance: Instance, deployed: Workspace, log: WriteAheadLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise EngineError("Code: 1. DB::Exception: no. (NO)")

    taker = ingester(instance, deployed, log)
    monkeypatch.setattr(taker._engine, "insert", refuse)
    with pytest.raises(ClickpipeError) as error:
        taker.submit(deployed.id, "events", [GOOD]).result()
    assert error.value.status == 422
    monkeypatch.undo()
    assert [p.suffix for p in tmp_path.rglob("*.*")] == [".rejected"]
    taker.submit(deployed.id, "events", [GOOD]).result()
    assert counts(deployed) == (1, 0, 1)
    taker.close()


def test_a_log_that_cannot_be_written_acknowledges_nothing(
    instance: Instance, deployed: Workspace, log: WriteAheadLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    taker = ingester(instance, deployed, log)
    monkeypatch.setattr(log, "write", full)
    with pytest.raises(ClickpipeError) as error:
        taker.submit(deployed.id, "events", [GOOD]).result()
    assert (error.value.status, "No space left" in error.value.message) == (503, True)
    assert counts(deployed) == (0, 0, 0)
    taker.close()


def test_many_writers_lose_and_double_nothing(instance: Instance, deployed: Workspace, log: WriteAheadLog) -> None:
    taker = ingester(instance, deployed, log)

    def write(number: int) -> None:
        for turn in range(10):
            line = b'{"id":"%d-%d","n":1}' % (number, turn)
            assert taker.submit(deployed.id, "events", [line]).result().successful_rows == 1

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts(deployed) == (80, 0, 80)
    assert deployed.sql("SELECT uniqExact(id) AS u FROM events") == [{"u": 80}]
    taker.close()
