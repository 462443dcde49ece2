"""Views that turn against rows which they took before a stop: each row is still in one place, and nobody waits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clickpipe.ingest import Ingester, Lines, WriteAheadLog
from clickpipe.ingest.kept_file import KeptFile
from clickpipe.ingest.log_file import Record
from clickpipe.runtime import Instance, Workspace
from tests.deploy.projects import stage
from tests.ingest.conftest import ONE
from tests.ingest.stops import Stops
from tests.ingest.test_uncertain_views import (
    CHAIN,
    IDS,
    LOOKUP,
    VIEW,
    before_the_table,
    check,
    ids,
    line,
    refused,
)

LOOKED_UP = {
    "the first": LOOKUP,
    "one behind it": {
        **CHAIN,
        "second_mv.pipe": VIEW.format(
            "SELECT id FROM firsts WHERE throwIf(id NOT IN (SELECT id FROM allowed)) = 0", "seconds"
        ),
    },
    "one beside it": {
        **CHAIN,
        "sum_mv.pipe": VIEW.format(
            "SELECT count() AS n FROM events WHERE throwIf(id NOT IN (SELECT id FROM allowed)) = 0", "sums"
        ),
    },
}


@pytest.fixture
def stops(log: WriteAheadLog, instance: Instance) -> Stops:
    return Stops(log, instance)


@pytest.fixture
def taker(stops: Stops) -> Iterator[Ingester]:
    ingester = stops.start()
    yield ingester
    ingester.close()


@pytest.mark.parametrize("files", LOOKED_UP.values(), ids=LOOKED_UP)
def test_what_was_taken_before_a_stop_is_in_every_view_when_none_would_take_it_now(
    workspace: Workspace, log: WriteAheadLog, instance: Instance, stops: Stops, files: dict[str, str]
) -> None:
    workspace.deploy(files)
    assert workspace.live is not None
    allowed = workspace.live.physical.tables["allowed"]
    for step in range(6):
        first = 20 * step
        instance.engine.execute(f"INSERT INTO {allowed} SELECT number + {first} FROM numbers(15)", output="Null")
        log.write(workspace.id, "events", [Record(ONE, b"\n".join(line(first + n) for n in range(20)))])
        stops.run(step)
        instance.engine.execute(f"TRUNCATE TABLE {allowed}", output="Null")
        stops.recover()
        out = [number for number, _ in check(workspace, first + 20)]
        assert [number for number in out if number >= first] == list(range(first + 15, first + 20))


def test_a_view_that_fails_without_rows_holds_nothing(
    workspace: Workspace, log: WriteAheadLog, taker: Ingester
) -> None:
    """A count of no rows is NULL in an insert without its views, and NULL is no number."""
    counting = VIEW.format("SELECT id + (SELECT count() FROM allowed) AS id FROM events", "firsts")
    workspace.deploy({**CHAIN, "first_mv.pipe": counting})
    taker.submit(workspace.id, "events", Lines.of([line(n) for n in range(20)])).result(timeout=60)
    taker.close()
    assert log.unfinished() == []
    assert check(workspace, 20) == []


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clickpipe.ingest.channel._BACK_OFF", (0.01,))
    monkeypatch.setattr("clickpipe.ingest.writer.ATTEMPTS", 1)


def wait_until_written(taker: Ingester, folder: Path) -> None:
    """Wait until the log in a folder is empty; a minute is a hang."""
    until = time.monotonic() + 60
    while list(folder.rglob("*.wal")) and time.monotonic() < until:
        taker.settle()
        time.sleep(0.05)
    assert not list(folder.rglob("*.wal"))


BESIDE = {"others.datasource": IDS, "others_mv.pipe": VIEW.format("SELECT id FROM events", "others")}
BEHIND = {"the first": ("firsts", "seconds"), "one behind it": ("seconds",), "one beside it": ("sums",)}


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("end", [b"}", b".0}"], ids=["values known", "staged"])
@pytest.mark.parametrize("name", LOOKED_UP)
def test_rows_that_a_view_turns_against_within_the_insert_are_told_of_and_hold_no_neighbour(
    workspace: Workspace,
    instance: Instance,
    taker: Ingester,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    end: bytes,
) -> None:
    """A deployment stands beside, so that the insert itself runs the views, and the table has the rows before them."""
    workspace.deploy(LOOKED_UP[name])
    number = stage(workspace, {**LOOKED_UP[name], **BESIDE})
    assert workspace.live is not None
    allowed = workspace.live.physical.tables["allowed"]
    instance.engine.execute(f"INSERT INTO {allowed} SELECT number FROM numbers(55)", output="Null")
    forget = f"ALTER TABLE {allowed} DELETE WHERE id IN (3, 4, 40) SETTINGS mutations_sync = 1"
    before_the_table(instance.engine, monkeypatch, lambda: instance.engine.execute(forget, output="Null"))
    lines = [line(n)[:-1] + end for n in range(60)]
    taker.submit(workspace.id, "events", Lines.of(lines)).result(timeout=60)
    wait_until_written(taker, tmp_path)
    assert [row for row, _ in refused(workspace)] == list(range(55, 60))
    written, rest = list(range(55)), [n for n in range(55) if n not in {3, 4, 40}]
    assert ids(workspace, "events") == written
    for table in ("firsts", "seconds"):
        assert ids(workspace, table) == (rest if table in BEHIND[name] else written)
    assert workspace.sql("SELECT sum(n) AS n FROM sums") == [{"n": 52 if "sums" in BEHIND[name] else 55}]
    workspace.deployments.promote(number)
    assert ids(workspace, "others") == written
    view = {"the first": "first_mv", "one behind it": "second_mv", "one beside it": "sum_mv"}[name]
    (told,) = [record.getMessage() for record in caplog.records if "but not in what" in record.getMessage()]
    assert view in told
    assert "3 rows" in told


@pytest.mark.usefixtures("_impatient")
def test_rows_whose_views_cannot_be_read_from_the_log_are_told_of_and_hold_no_neighbour(
    workspace: Workspace,
    log: WriteAheadLog,
    instance: Instance,
    stops: Stops,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As an older version left them: the table has the rows, and only views that run again can make the rest."""
    workspace.deploy(LOOKUP)
    assert workspace.live is not None
    allowed = workspace.live.physical.tables["allowed"]
    instance.engine.execute(f"INSERT INTO {allowed} SELECT number FROM numbers(15)", output="Null")
    segment = log.write(workspace.id, "events", [Record(ONE, b"\n".join(line(n) for n in range(20)))])
    stops.run(1)
    KeptFile(segment).path.unlink()
    forget = f"ALTER TABLE {allowed} DELETE WHERE id IN (3, 4) SETTINGS mutations_sync = 1"
    instance.engine.execute(forget, output="Null")
    again = stops.start()
    again.recover()
    wait_until_written(again, tmp_path)
    again.close()
    assert [row for row, _ in refused(workspace)] == list(range(15, 20))
    assert ids(workspace, "events") == list(range(15))
    assert ids(workspace, "firsts") == ids(workspace, "seconds") == [n for n in range(15) if n not in {3, 4}]
    assert workspace.sql("SELECT sum(n) AS n FROM sums") == [{"n": 15}]
    told = [record.getMessage() for record in caplog.records if "but not in what first_mv" in record.getMessage()]
    assert len(told) == 2
