"""Views that turn against rows which they took before a stop: each row is still in one place, and nobody waits."""

from __future__ import annotations

import re
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
    stop_after,
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


class Stops:
    """Ingesters that are stopped like a process that is killed."""

    def __init__(self, log: WriteAheadLog, instance: Instance) -> None:
        self._log, self._instance = log, instance

    def start(self) -> Ingester:
        engine, catalog = self._instance.engine, self._instance.catalog
        return Ingester(engine, self._log, catalog.positions, self._instance.registry)

    def run(self, inserts: int) -> None:
        """Insert what is in the log, and stop behind so many inserts."""
        with pytest.MonkeyPatch.context() as patch:
            stop_after(self._instance.engine, inserts, patch)
            dead = self.start()
            dead.recover()
            with dead._state:
                dead._stopped = True
                dead._state.wait_for(lambda: not any(c.running for c in dead._channels.values()))
                dead._channels.clear()

    def recover(self) -> None:
        """Insert all that is in the log."""
        again = self.start()
        again.recover()
        again.close()
        assert self._log.unfinished() == []


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


@pytest.mark.parametrize("damage", ["gone", "cut", "of other tables", "not rows"])
def test_views_run_again_when_what_they_made_cannot_be_read(
    workspace: Workspace, log: WriteAheadLog, stops: Stops, damage: str
) -> None:
    workspace.deploy(LOOKUP)
    workspace.append("allowed", [Lines.of([line(n) for n in range(15)])])
    segment = log.write(workspace.id, "events", [Record(ONE, b"\n".join(line(n) for n in range(20)))])
    stops.run(1)
    file = KeptFile(segment)
    found = file.read()
    assert len(found) == 4
    if damage == "gone":
        file.path.unlink()
    elif damage == "cut":
        file.path.write_bytes(file.path.read_bytes()[:-1])
    elif damage == "of other tables":
        file.write([*found[:-1], Record("`other`.`table`", found[-1].lines)])
    else:
        file.write([Record(record.import_id, b"x" * 40) for record in found])
    stops.recover()
    assert [number for number, _ in check(workspace, 20)] == list(range(15, 20))
    assert not list(file.path.parent.glob("*.*"))


def test_a_file_of_what_views_made_is_removed_with_its_segment(log: WriteAheadLog) -> None:
    segment = log.write("w", "events", [Record(ONE, b"{}")])
    file = KeptFile(segment)
    file.write([Record("t", b"rows")])
    assert log.unfinished() == [segment]
    assert file.read() == [Record("t", b"rows")]
    segment.path.unlink()
    assert log.unfinished() == []
    assert file.read() == []


TYPES = """SCHEMA >
    id UInt64 `json:$.id`,
    doc JSON `json:$.doc`,
    any Dynamic `json:$.any`,
    either Variant(UInt64, Array(String)) `json:$.either`,
    low LowCardinality(Nullable(String)) `json:$.low`,
    pairs Map(String, Array(Nullable(Int32))) `json:$.pairs`,
    price Decimal(38, 9) `json:$.price`,
    at DateTime64(6, 'Asia/Tokyo') `json:$.at`,
    kind Enum8('a' = 1, 'b' = 2) `json:$.kind`,
    key UUID `json:$.key`,
    address IPv6 `json:$.address`,
    code FixedString(4) `json:$.code`
ENGINE_SORTING_KEY id
"""
DOCUMENT = (
    b'{"id":%d,"doc":{"a":{"b":[1,null,"x"]},"n":%d},"any":%s,"either":%s,"low":%s,"pairs":{"k":[1,null]},'
    b'"price":"12345678901234567890.123456789","at":"2026-01-02 03:04:05.678901","kind":"b",'
    b'"key":"6f7b1c1e-0000-4000-a000-00000000000%d","address":"2001:db8::1","code":"ab"}'
)


def test_values_of_all_types_come_back_from_the_log(
    workspace: Workspace, log: WriteAheadLog, stops: Stops, taker: Ingester
) -> None:
    columns = [one.split()[0] for one in TYPES.splitlines()[1:-1]]
    workspace.deploy(
        {
            "allowed.datasource": CHAIN["allowed.datasource"],
            "events.datasource": TYPES,
            "copies.datasource": re.sub(" `json:.*`", "", TYPES).replace("\nENGINE", ",\n    n UInt64\nENGINE"),
            "states.datasource": "SCHEMA >\n    id UInt64,\n    seen AggregateFunction(uniq, String)\n"
            "ENGINE AggregatingMergeTree\nENGINE_SORTING_KEY id\n",
            "copies_mv.pipe": VIEW.format("SELECT *, (SELECT count() FROM allowed) AS n FROM events", "copies"),
            "states_mv.pipe": VIEW.format(
                "SELECT id, uniqState(toString(at)) AS seen FROM events GROUP BY id", "states"
            ),
        }
    )
    anything, eithers, texts = [b"1", b'"t"', b"[1.5]"], [b"7", b'["u"]', b"null"], [b"null", b'"l"', b'""']
    lines = [DOCUMENT % (n, n, anything[n % 3], eithers[n % 3], texts[n % 3], n) for n in range(9)]
    log.write(workspace.id, "events", [Record(ONE, b"\n".join(lines))])
    stops.run(0)
    stops.recover()
    assert taker.submit(workspace.id, "events", Lines.of(lines)).result(timeout=60).quarantined_rows == 0
    for table in ("events", "copies"):
        listed = ", ".join(f"toString({name})" for name in columns)
        times = workspace.sql(
            f"SELECT count() AS n FROM {table} GROUP BY {listed}, dynamicType(any), variantType(either)"
        )
        assert times == [{"n": 2}] * 9
    assert workspace.sql("SELECT uniqMerge(seen) AS n FROM states GROUP BY id") == [{"n": 1}] * 9


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
