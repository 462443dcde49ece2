"""Workspaces on one server take turns: what one does for long holds neither the events nor the queries of another."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from typing import Any

import pytest

from clickpipe.config import Settings
from clickpipe.deploy import Rows
from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import IngestResult, Lines
from clickpipe.ingest.writer import Writer
from clickpipe.jobs import Report
from clickpipe.runtime import Instance, Workspace
from clickpipe.runtime.compose import _MOST_WORKERS

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
            go_on.wait(200)
        return insert(writer, channel, batch, first=first)

    monkeypatch.setattr(Writer, "insert", slow)
    return made


def _send(workspace: Workspace, name: str, size: int = 0) -> Future[IngestResult]:
    return workspace.data.submit(name, Lines.of([b'{"id": 1}' + b" " * size]))


def test_events_of_others_come_in_while_one_s_views_take_long(
    busy: Workspace, quiet: Workspace, go_on: threading.Event
) -> None:
    held = [_send(busy, name) for name in SOURCES]
    for _ in range(3):
        assert _send(quiet, "events").result(60).successful_rows == 1
    assert not any(one.done() for one in held)
    go_on.set()
    assert [one.result(60).successful_rows for one in held] == [1] * len(SOURCES)


def test_events_of_others_have_room_while_one_s_wait(busy: Workspace, quiet: Workspace, go_on: threading.Event) -> None:
    assert _send(quiet, "events").result(60).successful_rows == 1
    held = [_send(busy, "src0", QUEUE // 10) for _ in range(4)]
    with pytest.raises(ClickpipeError, match="Too much data is waiting") as refused:
        _send(busy, "src1", QUEUE // 5)
    assert (refused.value.status, refused.value.code) == (503, "overloaded")
    assert _send(quiet, "events", QUEUE // 2 - 100).result(60).successful_rows == 1
    go_on.set()
    assert sum(one.result(60).successful_rows for one in held) == 4
    assert _send(busy, "src1", 2 * QUEUE).result(60).successful_rows == 1  # one that comes alone may be of any size


def test_bodies_of_others_are_read_while_one_s_do_not_end(
    instance: Instance, busy: Workspace, quiet: Workspace
) -> None:
    reading = instance.ingester.reading
    assert _send(quiet, "events").result(60).successful_rows == 1
    with reading(busy.id) as first, reading(busy.id) as second, reading(quiet.id) as other:
        first(QUEUE // 4)
        second(QUEUE // 5)
        for count in (first, second):
            with pytest.raises(ClickpipeError, match="Too much data is waiting"):
                count(QUEUE // 10)
        other(QUEUE // 2)
        with pytest.raises(ClickpipeError, match="Too much data is waiting"):
            other(QUEUE // 10)
    with reading(busy.id) as alone:
        alone(QUEUE * 3)  # one that comes alone may be of any size


def test_previews_have_no_room_of_their_own(
    instance: Instance, busy: Workspace, quiet: Workspace, go_on: threading.Event
) -> None:
    """Each would take half of what is left, and there may be any number of them."""
    assert _send(quiet, "events").result(60).successful_rows == 1
    preview = instance.workspaces.preview(busy, "preview", Rows.NONE)
    held = [_send(busy, "src0", QUEUE // 10) for _ in range(4)]
    with pytest.raises(ClickpipeError, match="Too much data is waiting"):
        _send(preview, "src1", QUEUE // 5)
    reading = instance.ingester.reading
    with reading(preview.id) as its, pytest.raises(ClickpipeError, match="Too much data is waiting"):
        its(QUEUE // 5)
    assert _send(quiet, "events", QUEUE // 2 - 100).result(60).successful_rows == 1
    go_on.set()
    assert sum(one.result(60).successful_rows for one in held) == 4


def test_jobs_of_previews_hold_no_others(instance: Instance, quiet: Workspace, go_on: threading.Event) -> None:
    """A copy of each that does not end took all of the engine's threads: nobody was answered, after a restart too."""
    engine: Any = instance.engine
    made = instance.workspaces.create("busy")
    previews = [made, *(instance.workspaces.create(f"preview{n}", parent=made.id) for n in range(20))]

    def work(_: Report) -> Mapping[str, Any]:
        engine._pool.submit(go_on.wait, lambda: None).result()
        return {}

    jobs = [instance.jobs.submit(one.id, "copy", f"c{n}", work) for one in previews for n in range(4)]
    assert len(jobs) > _MOST_WORKERS
    while engine._pool._unfinished + len(engine._pool._held) < len(jobs):
        threading.Event().wait(0.01)
    for _ in range(3):
        assert quiet.sql("SELECT 1 AS one") == [{"one": 1}]
        assert _send(quiet, "events").result(60).successful_rows == 1
    go_on.set()
    for job in jobs:
        instance.jobs.wait(job.id, 10)
    assert not engine._pool._held


def test_queries_of_previews_take_the_turns_of_what_they_are_of(instance: Instance) -> None:
    made = instance.workspaces.create("busy")
    previews = [made, *(instance.workspaces.create(f"preview{n}", parent=made.id) for n in range(3))]
    runners = [runner for one in previews for runner in (one.queries, one.staging_queries)]
    assert {runner._owner for runner in runners} == {made.id}
    assert {runner._owner for runner in (instance.default.queries, instance.default.staging_queries)} == {
        instance.default.id
    }


def test_statements_of_others_run_while_one_s_take_long(
    instance: Instance, quiet: Workspace, go_on: threading.Event
) -> None:
    """As jobs of one workspace do: four of each kind."""
    engine: Any = instance.engine
    held = [engine._pool.submit(go_on.wait, lambda: None) for _ in range(20)]
    assert quiet.sql("SELECT 1 AS one") == [{"one": 1}]
    assert _send(quiet, "events").result(60).successful_rows == 1
    assert not any(one.done() for one in held)
