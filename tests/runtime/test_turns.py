"""Workspaces on one server take turns: what one does for long holds neither the events nor the queries of another."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from clickpipe.config import Settings
from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import IngestResult, Lines
from clickpipe.ingest.writer import Writer
from clickpipe.runtime import Instance, Workspace

SOURCE = 'SCHEMA >\n    `id` UInt64 `json:$.id`\n\nENGINE "MergeTree"\nENGINE_SORTING_KEY "id"\n'
SOURCES = tuple(f"src{n}" for n in range(9))  # more than there are threads of ingestion, and of the engine
QUEUE = 100_000  # bytes


@pytest.fixture
def instance(go_on: threading.Event) -> Iterator[Instance]:
    with Instance(None, Settings(workers=2, ingest_queue_bytes=QUEUE)) as made:
        yield made
        go_on.set()


@pytest.fixture
def quiet(instance: Instance) -> Workspace:
    found = instance.workspaces.create("quiet")
    found.deploy({"datasources/events.datasource": SOURCE})
    return found


@pytest.fixture
def busy(instance: Instance, go_on: threading.Event, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace whose inserts do not end until they may: its views take long."""
    made = instance.workspaces.create("busy")
    made.deploy({f"datasources/{name}.datasource": SOURCE for name in SOURCES})
    insert = Writer.insert

    def slow(writer: Writer, channel: Any, batch: Any, *, first: bool) -> Any:
        if channel.workspace == made.id:
            go_on.wait(30)
        return insert(writer, channel, batch, first=first)

    monkeypatch.setattr(Writer, "insert", slow)
    return made


def _send(workspace: Workspace, name: str, size: int = 0) -> Future[IngestResult]:
    return workspace.submit(name, Lines.of([b'{"id": 1}' + b" " * size]))


def test_events_of_others_come_in_while_one_s_views_take_long(
    busy: Workspace, quiet: Workspace, go_on: threading.Event
) -> None:
    held = [_send(busy, name) for name in SOURCES]
    for _ in range(3):
        assert _send(quiet, "events").result(5).successful_rows == 1
    assert not any(one.done() for one in held)
    go_on.set()
    assert [one.result(10).successful_rows for one in held] == [1] * len(SOURCES)


def test_events_of_others_have_room_while_one_s_wait(busy: Workspace, quiet: Workspace, go_on: threading.Event) -> None:
    assert _send(quiet, "events").result(5).successful_rows == 1
    held = [_send(busy, "src0", QUEUE // 10) for _ in range(4)]
    with pytest.raises(ClickpipeError, match="Too much is waiting") as refused:
        _send(busy, "src1", QUEUE // 5)
    assert (refused.value.status, refused.value.code) == (503, "overloaded")
    assert _send(quiet, "events", QUEUE // 2 - 100).result(5).successful_rows == 1
    go_on.set()
    assert sum(one.result(10).successful_rows for one in held) == 4
    assert _send(busy, "src1", 2 * QUEUE).result(10).successful_rows == 1  # one that comes alone may be of any size


def test_bodies_of_others_are_read_while_one_s_do_not_end(
    instance: Instance, busy: Workspace, quiet: Workspace
) -> None:
    reading = instance.ingester.reading
    assert _send(quiet, "events").result(5).successful_rows == 1
    with reading(busy.id) as first, reading(busy.id) as second, reading(quiet.id) as other:
        first(QUEUE // 4)
        second(QUEUE // 5)
        for count in (first, second):
            with pytest.raises(ClickpipeError, match="Too much is waiting"):
                count(QUEUE // 10)
        other(QUEUE // 2)
        with pytest.raises(ClickpipeError, match="Too much is waiting"):
            other(QUEUE // 10)
    with reading(busy.id) as alone:
        alone(QUEUE * 3)  # one that comes alone may be of any size


def test_statements_of_others_run_while_one_s_take_long(
    instance: Instance, quiet: Workspace, go_on: threading.Event
) -> None:
    """As jobs of one workspace do: four of each kind."""
    engine: Any = instance.engine
    held = [engine._pool.submit(go_on.wait, lambda: None) for _ in range(20)]
    assert quiet.sql("SELECT 1 AS one") == [{"one": 1}]
    assert _send(quiet, "events").result(5).successful_rows == 1
    assert not any(one.done() for one in held)
