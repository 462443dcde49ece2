from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence

import pytest

from clickpipe.ingest import Ingester, IngestResult, Lines, WriteAheadLog
from clickpipe.ingest.decoder import Decoder, Judged
from clickpipe.ingest.log_file import OpenSegment, Record, read_records
from clickpipe.runtime import Workspace
from tests.ingest.conftest import ASKED, BAD, GOOD, ONE, TWO, MakeIngester, counts


def test_each_request_is_told_its_own_counts(deployed: Workspace, log: WriteAheadLog, taker: Ingester) -> None:
    with taker.paused(deployed.id):  # so that all of them become one batch
        bodies = [[GOOD], [GOOD, BAD], [BAD, BAD, b"no json"], []]
        futures = [taker.submit(deployed.id, "events", Lines.of(body)) for body in bodies]
        assert not futures[0].done()
    found = [f.result() for f in futures]
    assert found == [IngestResult(1, 0), IngestResult(1, 1), IngestResult(0, 3), IngestResult(0, 0)]
    assert counts(deployed) == (2, 4, 2)
    taker.close()
    assert log.unfinished() == []


@pytest.mark.parametrize(("batch_bytes", "segments"), [(len(GOOD), 3), (3 * len(GOOD) - 1, 2), (3 * len(GOOD), 1)])
def test_requests_share_an_insert_up_to_the_limit(
    deployed: Workspace,
    make_ingester: MakeIngester,
    monkeypatch: pytest.MonkeyPatch,
    batch_bytes: int,
    segments: int,
) -> None:
    sizes: list[int] = []
    append = OpenSegment.append

    def count(segment: OpenSegment, records: Sequence[Record]) -> None:
        sizes.append(len(records))
        append(segment, records)

    monkeypatch.setattr(OpenSegment, "append", count)
    taker = make_ingester(batch_bytes=batch_bytes)
    with taker.paused(deployed.id):
        futures = [taker.submit(deployed.id, "events", Lines.of([GOOD])) for _ in range(3)]
    assert all(f.result() == IngestResult(1, 0) for f in futures)
    assert (len(sizes), sum(sizes)) == (segments, 3)
    assert counts(deployed) == (3, 0, 3)


def test_a_client_that_goes_away_takes_nothing_back(deployed: Workspace, taker: Ingester) -> None:
    with taker.paused(deployed.id):
        gone, patient = (taker.submit(deployed.id, "events", Lines.of([GOOD, BAD])) for _ in range(2))
        assert not gone.cancel()
    assert patient.result() == gone.result() == IngestResult(1, 1)
    assert counts(deployed) == (2, 2, 2)


def test_what_was_logged_but_not_inserted_comes_in_once(
    deployed: Workspace, log: WriteAheadLog, taker: Ingester
) -> None:
    log.write(deployed.id, "events", [Record(ONE, GOOD + b"\n" + BAD), Record(TWO, GOOD)])
    assert taker.recover() == 1
    assert counts(deployed) == (2, 1, 2)
    assert taker.recover() == 0


def test_what_was_inserted_but_not_removed_does_not_come_in_again(
    deployed: Workspace, log: WriteAheadLog, taker: Ingester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "remove", lambda _segment: None)
    taker.submit(deployed.id, "events", Lines.of([GOOD, BAD])).result()
    taker.settle()
    monkeypatch.undo()
    assert counts(deployed) == (1, 1, 1)
    assert taker.recover() == 1
    assert counts(deployed) == (1, 1, 1)


def test_without_waiting_rows_are_counted_at_once_and_inserted_together(
    deployed: Workspace, log: WriteAheadLog, make_ingester: MakeIngester
) -> None:
    taker = make_ingester(flush_seconds=60)
    for _ in range(3):
        result = taker.submit(deployed.id, "events", Lines.of([GOOD, BAD, GOOD]), wait=False).result()
        assert result == IngestResult(2, 1)
    assert counts(deployed) == (0, 0, 0)
    (segment,) = log.unfinished()
    assert len(list(read_records(segment))) == 3
    assert taker.submit(deployed.id, "events", Lines.of([GOOD])).result() == IngestResult(1, 0)
    assert counts(deployed) == (7, 3, 7)  # one that waits takes all with it
    taker.close()
    assert log.unfinished() == []


def test_what_is_logged_is_inserted_in_time(deployed: Workspace, make_ingester: MakeIngester) -> None:
    taker = make_ingester(flush_seconds=0.05)
    taker.submit(deployed.id, "events", Lines.of([GOOD]), wait=False).result()
    for _ in range(200):
        if counts(deployed) == (1, 0, 1):
            return
        time.sleep(0.05)
    pytest.fail("the row did not come")


def test_what_is_logged_is_inserted_before_a_pause_and_an_end(
    deployed: Workspace, log: WriteAheadLog, make_ingester: MakeIngester
) -> None:
    taker = make_ingester(flush_seconds=60)
    taker.submit(deployed.id, "events", Lines.of([GOOD]), wait=False).result()
    with taker.paused(deployed.id):
        assert counts(deployed) == (1, 0, 1)
        late = taker.submit(deployed.id, "events", Lines.of([GOOD, BAD]), wait=False)
    assert late.result() == IngestResult(1, 1)
    taker.close()
    assert counts(deployed) == (2, 1, 2)
    assert log.unfinished() == []


def test_a_segment_that_was_torn_gives_its_whole_records_and_goes(
    deployed: Workspace, log: WriteAheadLog, taker: Ingester
) -> None:
    segment = log.write(deployed.id, "events", [Record(ONE, GOOD), Record(TWO, GOOD)])
    whole = segment.path.read_bytes()
    for length, rows in ((len(whole) - 1, 1), (3, 1)):
        segment.path.write_bytes(whole[:length])
        assert taker.recover() == 1
        assert counts(deployed) == (rows, 0, rows)
        assert log.unfinished() == []


def test_many_writers_lose_and_double_nothing(deployed: Workspace, taker: Ingester) -> None:
    def write(number: int) -> None:
        for turn in range(10):
            line = b'{"id":"%d-%d","n":1}' % (number, turn)
            assert taker.submit(deployed.id, "events", Lines.of([line])).result().successful_rows == 1

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts(deployed) == (80, 0, 80)
    assert deployed.sql("SELECT uniqExact(id) AS u FROM events") == [{"u": 80}]


def test_a_segment_has_one_token_whatever_the_blocks_it_was_staged_in(
    deployed: Workspace, log: WriteAheadLog, make_ingester: MakeIngester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Staged in several goes, brought back in one: ClickHouse makes its tokens by blocks."""
    chance = random.Random(3)
    taker = make_ingester(flush_seconds=60)
    good = bad = 0
    for _ in range(12):
        monkeypatch.setattr(log, "remove", lambda _segment: None)
        for _ in range(chance.choice([0, 0, 1, 8])):
            lines = [chance.choice([GOOD, BAD]) for _ in range(chance.choice([1, 300]))]
            taker.submit(deployed.id, "events", Lines.of(lines), wait=False).result()
            good, bad = good + lines.count(GOOD), bad + lines.count(BAD)
        last = [GOOD, BAD, GOOD] * chance.choice([1, 15_000])  # so many that several threads parse them
        taker.submit(deployed.id, "events", Lines.of(last)).result()
        good, bad = good + last.count(GOOD), bad + last.count(BAD)
        taker.settle()
        monkeypatch.undo()
        assert counts(deployed) == (good, bad, good)
        assert taker.recover() == 1
        assert counts(deployed) == (good, bad, good)


@pytest.mark.parametrize("wait", [False, True])
def test_certain_lines_and_others_share_a_segment(
    deployed: Workspace, log: WriteAheadLog, make_ingester: MakeIngester, *, wait: bool
) -> None:
    taker = make_ingester(flush_seconds=60)
    known = b'{"id":1,"n":"2"}'  # it fits, though its values are not simply those of the row
    for turn in range(3):
        with taker.paused(deployed.id):
            lines = [[GOOD], [ASKED], [GOOD, BAD], [known], [ASKED, BAD], [GOOD, known]][turn:]
            sent = [taker.submit(deployed.id, "events", Lines.of(one), wait=wait) for one in lines]
        found = [one.result() for one in sent]
        wanted = [(1, 0), (1, 0), (1, 1), (1, 0), (1, 1), (2, 0)][turn:]
        assert [(one.successful_rows, one.quarantined_rows) for one in found] == wanted
    taker.close()
    assert counts(deployed) == (18, 6, 24)
    assert log.unfinished() == []


@pytest.mark.parametrize("rows", [1, 3])
def test_a_line_that_should_have_fitted_goes_to_quarantine(
    deployed: Workspace, log: WriteAheadLog, make_ingester: MakeIngester, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """Nothing of what was acknowledged is lost where the decoder is wrong, and who waits is told what became of it."""
    judge = Decoder.judge

    def certain(decoder: Decoder, lines: bytes) -> Judged | None:
        return Judged(2, b'["a","many"]\n' * 2, "`id`, `n`") if BAD in lines else judge(decoder, lines)

    monkeypatch.setattr(Decoder, "judge", certain)
    taker = make_ingester(flush_seconds=60)
    for _ in range(rows):
        assert taker.submit(deployed.id, "events", Lines.of([GOOD]), wait=False).result() == IngestResult(1, 0)
    found = taker.submit(deployed.id, "events", Lines.of([GOOD, BAD])).result()
    assert (found.successful_rows, found.quarantined_rows) == (1, 1)
    taker.close()
    assert counts(deployed) == (rows + 1, 1, rows + 1)
    assert log.unfinished() == []


def test_what_is_certain_needs_no_engine(
    deployed: Workspace, make_ingester: MakeIngester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first event of a data source makes what it is staged in; those after it are acknowledged by the log alone."""
    taker = make_ingester(flush_seconds=60)
    taker.submit(deployed.id, "events", Lines.of([GOOD]), wait=False).result()

    def none(*_: object, **__: object) -> None:
        pytest.fail("the engine was asked")

    monkeypatch.setattr(taker._writer._engine, "execute", none)
    monkeypatch.setattr(taker._writer._engine, "insert", none)
    found = [taker.submit(deployed.id, "events", Lines.of([GOOD, GOOD]), wait=False) for _ in range(10)]
    assert [one.result().successful_rows for one in found] == [2] * 10
    monkeypatch.undo()
    taker.close()
    assert counts(deployed) == (21, 0, 21)


def test_values_are_those_of_the_columns_that_they_were_read_for(
    deployed: Workspace, make_ingester: MakeIngester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is live when they are inserted: a name that is no column's has the lines read again."""
    judge = Decoder.judge

    def other(decoder: Decoder, lines: bytes) -> Judged | None:
        found = judge(decoder, lines)
        return found and Judged(found.rows, found.values, found.columns.replace("`n`", "`m`"))

    monkeypatch.setattr(Decoder, "judge", other)
    taker = make_ingester(flush_seconds=60)
    assert taker.submit(deployed.id, "events", Lines.of([GOOD])).result() == IngestResult(1, 0)
    assert counts(deployed) == (1, 0, 1)
