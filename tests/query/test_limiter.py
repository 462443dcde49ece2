"""How many queries run and wait, and how they end early."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future
from typing import Any

import pytest

from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import EngineError, QueryResult
from clickpipe.engine.stream import Stream
from clickpipe.query import Answer, ConcurrencyLimiter, ResultCache, Running
from clickpipe.runtime import Instance


class Engine:
    """Starts queries, ends them when told."""

    def __init__(self) -> None:
        self.started: list[tuple[str, Future[QueryResult]]] = []
        self.cancelled: list[str] = []

    def stream(self, sql: str, _params: Any, *, settings: Any, **_: Any) -> Future[QueryResult]:
        future: Future[QueryResult] = Future()
        self.started.append((sql, future))
        assert settings["log_comment"]
        return future

    def stuck_of(self) -> dict[str, int]:
        return {}

    def stuck_callers(self) -> tuple[str, ...]:
        return ()

    def cancel(self, tag: str) -> None:
        self.cancelled.append(tag)

    def end(self, number: int) -> None:
        self.started[number][1].set_result(QueryResult(self.started[number][0].encode(), 0, 0, 0.0))


def gate(engine: Engine, at_once: int, waiting: int) -> ConcurrencyLimiter:
    return ConcurrencyLimiter(engine, at_once, waiting)  # type: ignore[arg-type]


def submit(to: ConcurrencyLimiter, sql: str) -> Running:
    return to.submit(sql, {}, "JSON", {})


def test_they_run_in_turn_and_no_more_wait_than_may() -> None:
    engine = Engine()
    own = gate(engine, 2, 2)
    running = [submit(own, str(n)) for n in range(4)]
    assert [sql for sql, _ in engine.started] == ["0", "1"]
    assert (own.running, own.waiting) == (2, 2)
    with pytest.raises(ClickpipeError, match="2 queries run and 2 wait") as refused:
        submit(own, "x")
    assert refused.value.status == 429
    engine.end(1)
    assert [sql for sql, _ in engine.started] == ["0", "1", "2"]
    engine.started[0][1].set_exception(EngineError("no"))
    engine.end(2)
    engine.end(3)
    assert [r.future.result().body for r in running[1:]] == [b"1", b"2", b"3"]
    with pytest.raises(EngineError):
        running[0].future.result()
    assert (own.running, own.waiting) == (0, 0)


def test_a_query_runs_until_the_last_part_of_its_result_is_made() -> None:
    """What it gave so far is sent meanwhile."""
    engine = Engine()
    own = gate(engine, 1, 1)
    first, second = submit(own, "0"), submit(own, "1")
    ended: Future[None] = Future()
    engine.started[0][1].set_result(QueryResult(b"", 0, 0, 0.0, more=Stream(), ended=ended))
    assert first.future.result().more is not None
    assert (own.running, own.waiting, second.future.running()) == (1, 1, False)
    ended.set_result(None)
    assert ([sql for sql, _ in engine.started], own.waiting) == (["0", "1"], 0)


def test_a_result_in_parts_counts_while_clickhouse_makes_it(instance: Instance) -> None:
    sql = "SELECT number FROM numbers(1000000000) WHERE number < 1000000 OR sipHash64(number) = 1"
    found = instance.limiter.submit(sql, {}, "TSV", {}).future.result(timeout=60)
    assert found.more is not None
    assert instance.limiter.running == 1
    found.more.close()
    deadline = time.monotonic() + 20
    while instance.limiter.running:
        assert time.monotonic() < deadline, "the query counts on"
        time.sleep(0.01)


def test_workspaces_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clickpipe.query.limiter._BESIDE", 0)
    engine = Engine()
    own = gate(engine, 1, 3)
    names = ("a0", "a1", "a2", "a3", "b0", "b1", "c0")
    running = {name: own.submit(name, {}, "JSON", {}, name[0]) for name in names}
    with pytest.raises(ClickpipeError) as refused:
        own.submit("a4", {}, "JSON", {}, "a")
    assert refused.value.status == 429
    running["c0"].cancel()
    running["c1"] = own.submit("c1", {}, "JSON", {}, "c")
    assert own.waiting == 6
    for number in range(7):
        engine.end(number)
    assert [sql for sql, _ in engine.started] == ["a0", "a1", "b0", "c1", "a2", "b1", "a3"]
    assert (own.running, own.waiting) == (0, 0)


def test_the_first_of_a_workspace_waits_for_no_other() -> None:
    engine = Engine()
    own = gate(engine, 2, 9)
    for name in ("a0", "a1", "a2", "a3", "b0", "b1", "c0"):
        own.submit(name, {}, "JSON", {}, name[0])
    assert [sql for sql, _ in engine.started] == ["a0", "a1", "b0", "c0"]
    assert (own.running, own.waiting) == (4, 3)
    engine.end(0)  # a1, b0 and c0 run: a has one
    engine.end(2)
    assert [sql for sql, _ in engine.started[4:]] == ["b1"]
    engine.end(3)
    engine.end(1)
    assert [sql for sql, _ in engine.started[5:]] == ["a2"]
    engine.end(4)
    engine.end(5)
    engine.end(6)
    assert [sql for sql, _ in engine.started[6:]] == ["a3"]
    assert (own.running, own.waiting) == (0, 0)


def test_the_end_of_one_may_let_two_begin() -> None:
    engine = Engine()
    own = gate(engine, 2, 9)
    for name in ("b0", "a0", "a1", "b1"):
        own.submit(name, {}, "JSON", {}, name[0])
    engine.end(0)
    assert [sql for sql, _ in engine.started[2:]] == ["a1", "b1"]


def test_workspaces_beside_others_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clickpipe.query.limiter._BESIDE", 2)
    engine = Engine()
    own = gate(engine, 1, 9)
    for name in "abcd":
        own.submit(name, {}, "JSON", {}, name)
    assert [sql for sql, _ in engine.started] == ["a", "b", "c"]
    engine.end(2)
    assert [sql for sql, _ in engine.started[3:]] == ["d"]


def test_one_that_waits_is_dropped_and_one_that_runs_is_ended() -> None:
    engine = Engine()
    own = gate(engine, 1, 5)
    running = [submit(own, str(n)) for n in range(3)]
    running[1].cancel()
    assert running[1].future.cancelled()
    running[0].cancel()
    assert len(engine.cancelled) == 1
    engine.started[0][1].set_exception(EngineError("Query was cancelled."))
    assert [sql for sql, _ in engine.started] == ["0", "2"]
    engine.end(1)
    assert running[2].future.result().body == b"2"
    running[2].cancel()
    assert (own.running, own.waiting, len(engine.cancelled)) == (0, 0, 1)


def test_a_shared_query_ends_when_the_last_one_has_gone() -> None:
    engine = Engine()
    own, answers = gate(engine, 1, 5), ResultCache(1_000_000)

    def ask() -> asyncio.Task[Answer]:
        return asyncio.create_task(answers.answer("key", 60.0, "", lambda: own.run("q", {}, "JSON", {})))

    async def run() -> None:
        waiting = [ask() for _ in range(3)]
        await settled()
        assert len(engine.started) == 1
        for one in waiting:
            assert engine.cancelled == []
            one.cancel()
            await settled()
        assert len(engine.cancelled) == 1
        again = ask()
        await settled()
        engine.started[0][1].set_exception(EngineError("Query was cancelled."))
        engine.end(1)
        assert (await again).source == "MISS"
        assert (await again).result.body == b"q"
        assert (await ask()).source == "HIT"
        assert (answers.hits, answers.misses, answers.joined, answers._flights) == (1, 2, 2, {})

    asyncio.run(asyncio.wait_for(run(), 30))


class Parts:
    """The rest of a streamed result."""

    closed = False

    def take(self) -> bytes | None:
        return None

    def close(self) -> None:
        self.closed = True


def test_a_streamed_result_is_for_one_caller_and_closed_if_all_have_left() -> None:
    engine = Engine()
    own, answers = gate(engine, 9, 5), ResultCache(1_000_000)

    def ask() -> asyncio.Task[Answer]:
        return asyncio.create_task(answers.answer("key", 60.0, "", lambda: own.run("q", {}, "JSON", {})))

    def stream(number: int) -> Parts:
        parts = Parts()
        engine.started[number][1].set_result(QueryResult(b"", 0, 0, 0.0, more=parts))
        return parts

    async def run() -> None:
        first, second = ask(), ask()
        await settled()
        stream(0)
        await settled()
        stream(1)
        assert (await first).result.more is not (await second).result.more
        assert len(engine.started) == 2
        left = ask()
        await settled()
        parts = stream(2)
        left.cancel()
        await settled()
        assert left.cancelled()
        assert parts.closed

    asyncio.run(asyncio.wait_for(run(), 30))


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)
    await asyncio.sleep(0.02)


def test_the_engine_ends_a_query(instance: Instance) -> None:
    own = ConcurrencyLimiter(instance.engine, 1, 1)
    slow = submit(own, "SELECT sum(cityHash64(number)) FROM numbers(1000000000000)")
    threading.Timer(0.3, slow.cancel).start()
    started = time.monotonic()
    with pytest.raises(EngineError, match="cancelled"):
        slow.future.result(timeout=30)
    assert time.monotonic() - started < 30
    assert submit(own, "SELECT 1").future.result().rows == 1
