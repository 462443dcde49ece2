from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import EngineError, QueryResult
from clickpipe.ingest import Ingester, Lines, WriteAheadLog
from clickpipe.ingest.log_file import OpenSegment, Record
from clickpipe.runtime import Workspace
from tests.ingest.conftest import ASKED, BAD, GOOD, ONE, TWO, MakeIngester, counts


def kept(root: Path) -> list[str]:
    return [path.suffix for path in root.rglob("*.*")]


def refused(taker: Ingester, workspace: str, data_source: str = "events", line: bytes = GOOD) -> ClickpipeError:
    with pytest.raises(ClickpipeError) as error:
        taker.submit(workspace, data_source, Lines.of([line])).result()
    return error.value


def test_more_than_may_wait_is_refused(deployed: Workspace, make_ingester: MakeIngester) -> None:
    taker = make_ingester(queue_bytes=len(GOOD))
    with taker.paused(deployed.id):
        first = taker.submit(deployed.id, "events", Lines.of([GOOD]))
        assert refused(taker, deployed.id).status == 503
    first.result()
    for _ in range(20):  # there is room again as soon as the answer is there
        taker.submit(deployed.id, "events", Lines.of([GOOD])).result()
    assert counts(deployed) == (21, 0, 21)


def test_one_request_may_be_larger_than_all_that_may_wait(deployed: Workspace, make_ingester: MakeIngester) -> None:
    taker = make_ingester(queue_bytes=1, batch_bytes=1)
    assert taker.submit(deployed.id, "events", Lines.of([GOOD, GOOD])).result().successful_rows == 2


@pytest.mark.parametrize("source", ["nothing", "sums_mv"])
def test_a_data_source_that_is_gone(
    deployed: Workspace, log: WriteAheadLog, taker: Ingester, tmp_path: Path, source: str
) -> None:
    assert refused(taker, deployed.id, source).status == 404
    assert refused(taker, "nowhere").status == 404
    assert kept(tmp_path) == []
    log.write(deployed.id, source, [Record(ONE, GOOD)])
    assert taker.recover() == 1
    assert log.unfinished() == []
    assert kept(tmp_path) == [".rejected"]


@pytest.mark.parametrize(
    ("what", "error", "status"),
    [
        ("INSERT INTO `clickpipe_staged`", "Code: 241. DB::Exception: no. (MEMORY_LIMIT_EXCEEDED)", 503),
        ("INSERT INTO `clickpipe_staged`", "Code: 1. DB::Exception: no. (NO)", 422),
        ("SELECT countIf", "Code: 241. DB::Exception: no. (MEMORY_LIMIT_EXCEEDED)", 503),
        ("SELECT countIf", "Code: 1. DB::Exception: no. (NO)", 422),
        ("SELECT countIf", "Cannot write to file: No space left on device", 503),
        ("CREATE", "Code: 1. DB::Exception: no. (NO)", 503),
    ],
)
def test_lines_that_cannot_be_taken_are_not_in_the_log_and_hurt_no_others(
    deployed: Workspace,
    taker: Ingester,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    error: str,
    status: int,
) -> None:
    if what != "CREATE":
        taker.submit(deployed.id, "events", Lines.of([ASKED]), wait=False).result()
    execute = taker._writer._engine.execute

    def refuse(sql: str, *given: Any, **named: Any) -> QueryResult:
        if sql.startswith(what):
            raise EngineError(error)
        return execute(sql, *given, **named)

    with taker.paused(deployed.id):
        monkeypatch.setattr(taker._writer._engine, "execute", refuse)
    assert refused(taker, deployed.id, line=ASKED).status == status
    assert refused(taker, deployed.id, line=BAD).status == status
    monkeypatch.undo()
    taker.submit(deployed.id, "events", Lines.of([GOOD])).result()
    rows = 1 if what == "CREATE" else 2
    assert counts(deployed) == (rows, 0, rows)
    taker.close()
    assert kept(tmp_path) == []


def test_a_log_that_cannot_be_written_acknowledges_nothing(
    deployed: Workspace, taker: Ingester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(OpenSegment, "append", full)
    error = refused(taker, deployed.id)
    assert (error.status, "No space left" in error.message) == (503, True)
    assert kept(tmp_path) == []
    monkeypatch.undo()
    taker.submit(deployed.id, "events", Lines.of([GOOD])).result()
    assert counts(deployed) == (1, 0, 1)


@pytest.mark.parametrize("damage", [b"clickpipe-wal-9\n", b""])
def test_a_segment_that_cannot_be_read_to_its_end_is_kept_aside(
    deployed: Workspace, log: WriteAheadLog, taker: Ingester, tmp_path: Path, damage: bytes
) -> None:
    segment = log.write(deployed.id, "events", [Record(ONE, GOOD), Record(TWO, GOOD)])
    data = segment.path.read_bytes()
    segment.path.write_bytes(damage + data[len(damage) :] if damage else data.replace(TWO.encode(), b"x" * len(TWO)))
    assert taker.recover() == 1
    assert counts(deployed) == ((0, 0, 0) if damage else (1, 0, 1))
    assert kept(tmp_path) == [".rejected"]


def test_a_data_source_may_refuse_requests_with_a_bad_row(
    deployed: Workspace, log: WriteAheadLog, make_ingester: MakeIngester
) -> None:
    taker = make_ingester(fail_fast={"events"}, flush_seconds=60)
    taker.submit(deployed.id, "events", Lines.of([GOOD]), wait=False).result()
    with taker.paused(deployed.id):  # so that they are one batch
        good = taker.submit(deployed.id, "events", Lines.of([GOOD, GOOD]), wait=False)
        bad = taker.submit(deployed.id, "events", Lines.of([GOOD, b'{"id":"a","n":"many"}']))
        broken = taker.submit(deployed.id, "events", Lines.of([b"no json"]), wait=False)
    assert good.result().successful_rows == 2
    for refused_, reason in (
        (bad, "value 'many' on column 'n' is not Int32"),
        (broken, "the line is not a JSON object"),
    ):
        with pytest.raises(ClickpipeError, match=reason) as error:
            refused_.result()
        assert (error.value.status, error.value.message.startswith("Nothing was written: ")) == (400, True)
    taker.submit(deployed.id, "events", Lines.of([GOOD])).result()
    assert counts(deployed) == (4, 0, 4)
    taker.close()
    assert log.unfinished() == []


def test_what_is_being_read_is_bounded_too(make_ingester: MakeIngester) -> None:
    taker = make_ingester(queue_bytes=100)
    with taker.reading("w") as first, taker.reading("w") as second:
        first(60)
        second(40)
        for count in (first, second):
            with pytest.raises(ClickpipeError) as error:
                count(1)
            assert error.value.status == 503
    with taker.reading("w") as alone:
        alone(1000)
        with taker.reading("w") as other, pytest.raises(ClickpipeError):
            other(1)


def test_what_waits_and_what_is_being_read_are_bounded_together(
    deployed: Workspace, make_ingester: MakeIngester
) -> None:
    taker = make_ingester(queue_bytes=100 + len(GOOD))
    with taker.paused(deployed.id):
        waits = taker.submit(deployed.id, "events", Lines.of([GOOD]))
        with taker.reading("w") as count:
            count(100)
            with pytest.raises(ClickpipeError) as error:
                count(1)
            assert error.value.status == 503
    assert waits.result().successful_rows == 1
    with taker.reading("w") as count:
        count(101)


def test_a_folder_that_takes_no_files_is_told_and_used_again_when_it_does(
    deployed: Workspace, taker: Ingester, tmp_path: Path
) -> None:
    (tmp_path / deployed.id).write_bytes(b"in the way")
    error = refused(taker, deployed.id)
    assert (error.status, error.message.startswith("The events cannot be written to disk: ")) == (503, True)
    (tmp_path / deployed.id).unlink()
    taker.submit(deployed.id, "events", Lines.of([GOOD])).result()
    assert counts(deployed) == (1, 0, 1)


def test_lines_that_a_column_cannot_take_are_told_without_a_trace(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    """A column that only a view fills may have a type that ClickHouse raises for: a caller's mistake, no bug."""
    filled = "NODE n\nSQL >\n    SELECT id, CAST(v, 'QBit(Float32, 4)') AS v FROM e\nTYPE materialized\nDATASOURCE x\n"
    workspace.deploy(
        {
            "e.datasource": "SCHEMA >\n    id String,\n    v Array(Float32)\n",
            "x.datasource": "SCHEMA >\n    id String,\n    v QBit(Float32, 4)\n",
            "x_mv.pipe": filled,
        }
    )
    for _ in range(2):
        with pytest.raises(ClickpipeError, match="none of them was written") as error:
            workspace.ingest("x", [{"id": "a", "v": "x"}])
        assert error.value.status == 422
        assert workspace.ingest("x", [{"id": "a"}]).quarantined_rows == 1
    assert workspace.ingest("e", [{"id": "a", "v": [1, 2, 3, 4]}]).successful_rows == 1
    assert workspace.sql("SELECT count() AS n FROM x") == [{"n": 1}]
    assert [record for record in caplog.records if record.exc_info] == []
    assert any("could not be staged" in record.message for record in caplog.records)
