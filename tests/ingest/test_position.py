"""Sources with numbers of their own: where they are is known with their rows, over stops and errors."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from clickpipe.catalog import Catalog
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import EngineError
from clickpipe.ingest import Ingester, Lines, Position, WriteAheadLog
from clickpipe.ingest.log_file import Record
from clickpipe.ingest.position import furthest, read_name, record_name
from clickpipe.runtime import Instance, Workspace
from tests.ingest.conftest import ASKED, BAD, GOOD, ONE, REFUSED, MakeIngester, counts
from tests.ingest.faults import MEMORY, Faults
from tests.ingest.test_retries import until

NUMBERS = st.dictionaries(st.text(), st.integers(0, 2**63 - 1))
POSITIONS = st.builds(Position, st.text(), NUMBERS)
TOPIC = "kafka main/clicks"


@given(st.none() | POSITIONS, st.uuids().map(str))
def test_a_name_in_the_log_keeps_it(position: Position | None, import_id: str) -> None:
    assert read_name(record_name(import_id, position)) == (import_id, position)


@given(st.lists(POSITIONS))
def test_the_order_in_which_positions_come_is_of_no_matter(found: list[Position]) -> None:
    together = furthest(found)
    assert together == furthest(reversed(found)) == furthest(found[1:], furthest(found[:1]))
    for position in found:
        assert all(together[position.source][part] >= number for part, number in position.next.items())


def test_the_catalog_moves_none_back(catalog: Catalog) -> None:
    workspace = catalog.create_workspace("w").id
    catalog.positions.advance(workspace, "events", {"a": {"0": 7, "1": 2}, "b": {"0": 1}})
    catalog.positions.advance(workspace, "events", {"a": {"0": 5, "1": 3, "2": 0}})
    assert catalog.positions.read(workspace, "events", "a") == {"0": 7, "1": 3, "2": 0}
    assert catalog.positions.read(workspace, "others", "a") == {}
    catalog.delete_workspace(workspace)
    assert catalog.positions.read(workspace, "events", "a") == {}


@pytest.mark.parametrize("lines", [[GOOD], [ASKED, BAD], [REFUSED]])
def test_it_is_known_when_the_rows_are_durable(
    instance: Instance, deployed: Workspace, make_ingester: MakeIngester, lines: list[bytes]
) -> None:
    taker = make_ingester(flush_seconds=60)
    for number in (3, 5):
        taker.submit(
            deployed.id, "events", Lines.of(lines), wait=False, position=Position(TOPIC, {"0": number})
        ).result()
        assert taker.positions(deployed.id, "events", TOPIC) == {"0": number}
    assert instance.catalog.positions.read(deployed.id, "events", TOPIC) == {}
    taker.close()
    assert instance.catalog.positions.read(deployed.id, "events", TOPIC) == {"0": 5}
    assert taker.positions(deployed.id, "events", TOPIC) == {"0": 5}
    assert taker.positions(deployed.id, "events", "another") == {}


def test_a_start_finds_it_in_the_log(
    instance: Instance, deployed: Workspace, log: WriteAheadLog, taker: Ingester, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = Faults(taker, monkeypatch)
    faults.error = EngineError(MEMORY)
    for number in (1, 2):
        log.write(deployed.id, "events", [Record(ONE, GOOD, Position(TOPIC, {"0": number, str(number): 9}))])
    taker.recover()
    assert instance.catalog.positions.read(deployed.id, "events", TOPIC) == {}
    assert taker.positions(deployed.id, "events", TOPIC) == {"0": 2, "1": 9, "2": 9}
    faults.error = None
    until(deployed, (2, 0, 2))
    while taker.failing():
        pass
    assert instance.catalog.positions.read(deployed.id, "events", TOPIC) == {"0": 2, "1": 9, "2": 9}


def test_lines_that_are_not_taken_move_nothing(
    deployed: Workspace, make_ingester: MakeIngester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were in the log already when ClickHouse could not count them."""
    taker = make_ingester(flush_seconds=60)
    faults = Faults(taker, monkeypatch)

    def send(line: bytes, number: int) -> None:
        position = Position(TOPIC, {"0": number})
        taker.submit(deployed.id, "events", Lines.of([line]), wait=False, position=position).result(timeout=20)

    send(GOOD, 1)
    faults.error, faults.starts = EngineError(MEMORY), ""
    with pytest.raises(ClickpipeError) as refused:
        send(ASKED, 2)
    assert refused.value.status == 503
    assert taker.positions(deployed.id, "events", TOPIC) == {"0": 1}
    faults.error = None
    send(ASKED, 2)
    assert taker.positions(deployed.id, "events", TOPIC) == {"0": 2}
    taker.close()
    assert counts(deployed) == (2, 0, 2)


def test_a_catalog_that_cannot_be_written_is_waited_for(
    instance: Instance, deployed: Workspace, taker: Ingester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are there meanwhile, and once."""
    monkeypatch.setattr("clickpipe.ingest.channel._BACK_OFF", (0.02,))
    left = [3]
    advance = instance.catalog.positions.advance

    def fail(*given: Any) -> None:
        left[0] -= 1
        if left[0] >= 0:
            assert list(tmp_path.rglob("*.wal"))
            raise sqlite3.OperationalError("database or disk is full")
        advance(*given)

    monkeypatch.setattr(instance.catalog.positions, "advance", fail)
    position = Position(TOPIC, {"0": 1})
    taker.submit(deployed.id, "events", Lines.of([GOOD]), position=position).result(timeout=20)
    assert left == [-1]
    assert counts(deployed) == (1, 0, 1)
    assert instance.catalog.positions.read(deployed.id, "events", TOPIC) == {"0": 1}
