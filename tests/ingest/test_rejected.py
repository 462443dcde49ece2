from __future__ import annotations

from clickpipe.ingest import Ingester, Lines, WriteAheadLog
from clickpipe.ingest.log_file import Record
from clickpipe.runtime import Workspace
from tests.ingest.conftest import BAD, FILES, GOOD, ONE, REFUSED, TWO, counts


def test_what_an_older_version_set_aside_is_listed_and_taken_in_once(
    deployed: Workspace, log: WriteAheadLog, taker: Ingester
) -> None:
    first = log.write(deployed.id, "events", [Record(ONE, GOOD + b"\n" + REFUSED), Record(TWO, BAD)])
    log.set_aside(first)
    log.set_aside(log.write(deployed.id, "gone", [Record(ONE, GOOD)]))
    found = taker.rejected(deployed.id)
    assert sorted((one.data_source, one.rows) for one in found) == [("events", 3), ("gone", 1)]
    assert taker.replay_rejected(deployed.id, "gone") == {"segments": 0, "left": 1}
    assert taker.replay_rejected(deployed.id) == {"segments": 1, "left": 1}
    assert counts(deployed) == (1, 2, 1)
    assert taker.replay_rejected(deployed.id) == {"segments": 0, "left": 1}
    assert [one.data_source for one in taker.rejected(deployed.id)] == ["gone"]


def test_what_was_half_written_before_is_not_doubled(deployed: Workspace, log: WriteAheadLog, taker: Ingester) -> None:
    """An older version had written the table, and set the segment aside for what a view raised."""
    taker.submit(deployed.id, "events", Lines.of([GOOD])).result()
    segment = log.write(deployed.id, "events", [Record(ONE, GOOD)])
    assert taker.recover() == 1
    log.set_aside(log.write(deployed.id, "events", [Record(ONE, GOOD)]))
    kept = next(iter(log.rejected(deployed.id)))
    kept.path.rename(segment.path.with_suffix(".rejected"))  # the segment that was inserted
    assert counts(deployed) == (2, 0, 2)
    assert taker.replay_rejected(deployed.id) == {"segments": 1, "left": 0}
    assert counts(deployed) == (2, 0, 2)


def test_a_data_source_that_comes_back_gets_its_events(
    deployed: Workspace, log: WriteAheadLog, taker: Ingester
) -> None:
    log.set_aside(log.write(deployed.id, "events", [Record(ONE, GOOD)]))
    deployed.deploy({"other.datasource": FILES["events.datasource"]}, allow_destructive=True)
    assert taker.replay_rejected(deployed.id) == {"segments": 0, "left": 1}
    deployed.deploy(FILES, allow_destructive=True)
    assert taker.replay_rejected(deployed.id) == {"segments": 1, "left": 0}
    assert counts(deployed) == (1, 0, 1)
