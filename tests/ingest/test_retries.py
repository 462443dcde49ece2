"""What cannot be inserted now stays in the log and is tried again, without end; nothing acknowledged is set aside."""

from __future__ import annotations

import random
import re
import threading
import time
from pathlib import Path

import pytest

from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import EngineError
from clickpipe.ingest import Ingester, Lines, WriteAheadLog, segments, writes
from clickpipe.ingest.channel import MOVES, Batch, State
from clickpipe.ingest.log_file import Record, Segment
from clickpipe.runtime import Workspace
from tests.conftest import ROOT
from tests.ingest.conftest import ASKED, BAD, GOOD, ONE, REFUSED, MakeIngester, counts
from tests.ingest.faults import BUG, FULL, MEMORY, Faults


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "_AGAIN_AFTER", (0.01,))
    monkeypatch.setattr("clickpipe.ingest.channel._BACK_OFF", (0.02,))


def until(workspace: Workspace, wanted: tuple[int, int, int]) -> None:
    for _ in range(200):
        if counts(workspace) == wanted:
            return
        time.sleep(0.05)
    pytest.fail(f"{counts(workspace)} are there, not {wanted}")


@pytest.mark.parametrize(
    "error", [EngineError(MEMORY), EngineError(FULL), OSError(28, "full"), EngineError(BUG), KeyError("a")]
)
def test_acknowledged_rows_wait_in_the_log_for_an_engine_that_fails(
    deployed: Workspace,
    log: WriteAheadLog,
    make_ingester: MakeIngester,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    taker = make_ingester(flush_seconds=0.02)
    faults = Faults(taker, monkeypatch)
    faults.error = error
    for _ in range(5):
        taker.submit(deployed.id, "events", Lines.of([GOOD, BAD]), wait=False).result()
        time.sleep(0.05)
    assert taker.failing()[0][0] == "events"
    assert {path.suffix for path in tmp_path.rglob("*.*")} <= {".wal", ".refused"}  # what is to be tried again
    faults.error = None
    until(deployed, (5, 5, 5))
    taker.close()
    assert log.unfinished() == []
    assert taker.failing() == []


def test_who_waits_for_long_is_told_that_the_rows_are_durable(
    deployed: Workspace, taker: Ingester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "_PATIENCE", 0.3)
    faults = Faults(taker, monkeypatch)
    faults.error = EngineError(MEMORY)
    found = taker.submit(deployed.id, "events", Lines.of([GOOD])).result(timeout=20)
    assert (found.successful_rows, found.readable) == (1, False)
    faults.error = None
    until(deployed, (1, 0, 1))
    assert taker.submit(deployed.id, "events", Lines.of([GOOD])).result(timeout=20).readable


def test_a_start_does_not_wait_for_an_engine_that_fails(
    deployed: Workspace, log: WriteAheadLog, taker: Ingester, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = Faults(taker, monkeypatch)
    faults.error = EngineError(FULL)
    log.write(deployed.id, "events", [Record(ONE, GOOD + b"\n" + REFUSED)])
    assert taker.recover() == 1
    with pytest.raises(ClickpipeError, match="No space left") as error:
        taker.require_written(deployed.id)
    assert error.value.status == 503
    faults.error = None
    until(deployed, (1, 1, 1))
    while taker.failing():
        time.sleep(0.01)
    taker.require_written(deployed.id)


def test_an_engine_that_is_away_for_long_does_not_fill_the_disk(
    deployed: Workspace, make_ingester: MakeIngester, monkeypatch: pytest.MonkeyPatch
) -> None:
    taker = make_ingester(flush_seconds=0.02, queue_bytes=50 * len(GOOD))
    faults = Faults(taker, monkeypatch)
    faults.error = EngineError(MEMORY)
    sent, refused = 0, None
    while refused is None and sent < 1000:
        try:
            taker.submit(deployed.id, "events", Lines.of([GOOD]), wait=False).result(timeout=20)
        except ClickpipeError as error:
            refused = error
        else:
            sent += 1
            time.sleep(0.005)
    assert refused is not None
    assert refused.status == 503
    assert sent > 50
    faults.error = None
    until(deployed, (sent, 0, sent))


def test_what_cannot_be_inserted_at_the_end_is_there_after_the_next_start(
    deployed: Workspace, make_ingester: MakeIngester, monkeypatch: pytest.MonkeyPatch
) -> None:
    taker = make_ingester(flush_seconds=60)
    faults = Faults(taker, monkeypatch)
    taker.submit(deployed.id, "events", Lines.of([GOOD]), wait=False).result()
    faults.error = EngineError(FULL)
    late = threading.Thread(target=taker.close)
    late.start()
    late.join(20)
    assert not late.is_alive()
    faults.error = None
    assert make_ingester().recover() == 1
    assert counts(deployed) == (1, 0, 1)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_statement_fails_all_acknowledged_rows_are_there_once(
    deployed: Workspace, log: WriteAheadLog, make_ingester: MakeIngester, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    taker = make_ingester(flush_seconds=0.02)
    faults = Faults(taker, monkeypatch)
    faults.random.seed(seed)
    faults.starts, faults.chance = "", 0.15
    chance = random.Random(seed)
    acknowledged = {"good": 0, "bad": 0}

    def write() -> None:
        for _ in range(25):
            lines = [chance.choices([GOOD, BAD, REFUSED], [8, 1, 1])[0] for _ in range(chance.choice([1, 5]))]
            faults.error = chance.choice([None, EngineError(MEMORY), EngineError(FULL), OSError(28, "full")])
            sent = taker.submit(deployed.id, "events", Lines.of(lines), wait=chance.random() < 0.3)
            error = sent.exception(timeout=30)
            if isinstance(error, ClickpipeError) and error.status == 503:
                continue  # it was not written
            assert error is None or (isinstance(error, ClickpipeError) and error.status == 422)
            acknowledged["good"] += lines.count(GOOD)
            acknowledged["bad"] += len(lines) - lines.count(GOOD)

    write()
    faults.error = None
    until(deployed, (acknowledged["good"], acknowledged["bad"], acknowledged["good"]))
    taker.close()
    assert log.unfinished() == []


def test_a_segment_leaves_the_log_in_one_way_only() -> None:
    ends = [state for state, following in MOVES.items() if not following]
    assert (set(MOVES), ends) == (set(State), [State.INSERTED])
    for state, following in MOVES.items():
        for other in State:
            batch = Batch(Segment("w", "d", Path("x")), state=state)
            if other in following:
                batch.to(other)
                assert batch.state is other
            else:
                with pytest.raises(RuntimeError, match=f"a segment that is {state} cannot be {other}"):
                    batch.to(other)


def test_the_documentation_tells_the_same_moves() -> None:
    text = (ROOT / "docs/ingestion.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| [^|]* \| ([^|]*) \|$", text, re.MULTILINE)
    told = {state: {word for word in re.findall(r"\w+", on) if word in set(State)} for state, on in rows}
    told = {state: on for state, on in told.items() if state in set(State)}
    assert told == {state: set(following) for state, following in MOVES.items()}


def test_a_bug_while_lines_are_staged_or_counted_takes_them_back_from_the_log(
    deployed: Workspace, log: WriteAheadLog, taker: Ingester, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*given: object) -> None:
        time.sleep(0.2)  # the log takes longer than the bug
        append(*given)  # type: ignore[arg-type]

    def bug(*_: object, **__: object) -> None:
        raise KeyError("a bug of ours")

    append = taker._writer._append
    monkeypatch.setattr(taker._writer, "_append", slow)
    for method in ("try_stage", "counts"):
        with monkeypatch.context() as during:
            during.setattr(taker._writer._stager, method, bug)
            with pytest.raises(KeyError):
                taker.submit(deployed.id, "events", Lines.of([ASKED])).result(timeout=20)
        assert log.unfinished() == []
    assert taker.submit(deployed.id, "events", Lines.of([ASKED])).result(timeout=20).readable
    assert counts(deployed) == (1, 0, 1)
