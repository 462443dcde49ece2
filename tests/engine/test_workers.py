"""Statements that ClickHouse does not end: who waits is told, and another thread takes the place of theirs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import wait
from functools import partial
from typing import Any

import pytest

from clickpipe.engine import EmbeddedEngine, EngineError, workers as workers_, working_for
from clickpipe.engine.workers import Workers


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch, go_on: threading.Event) -> Iterator[Workers]:
    monkeypatch.setattr(workers_, "_LOOK", 0.01)
    made = Workers(2, "test", grace=0.1)
    yield made
    go_on.set()
    made.close()


def nothing() -> None:
    """Kill as ClickHouse kills a function that does not listen."""


def test_what_ends_in_time_is_not_killed(workers: Workers) -> None:
    killed: list[int] = []
    found = [workers.submit(partial(int, n), partial(killed.append, 1), 5.0) for n in range(20)]
    assert [future.result(60) for future in found] == list(range(20))
    assert killed == []


def test_an_error_is_that_of_who_waits(workers: Workers) -> None:
    def fail() -> None:
        message = "no"
        raise EngineError(message)

    with pytest.raises(EngineError, match="no"):
        workers.submit(fail, nothing).result(60)
    assert workers.submit(lambda: 1, nothing).result(60) == 1


def test_one_that_waits_can_be_cancelled(workers: Workers, go_on: threading.Event) -> None:
    running = [workers.submit(go_on.wait, nothing) for _ in range(2)]
    waiting = workers.submit(lambda: 1, nothing)
    assert waiting.cancel()
    go_on.set()
    assert [future.result(60) for future in running] == [True, True]


def test_there_are_more_threads_while_none_is_free(go_on: threading.Event) -> None:
    made = Workers(2, "test", most=4)
    held = [made.submit(go_on.wait, nothing) for _ in range(3)]
    assert [made.submit(partial(int, n), nothing).result(60) for n in range(9)] == list(range(9))
    held.append(made.submit(go_on.wait, nothing))
    behind = [made.submit(partial(int, n), nothing) for n in range(3)]
    assert behind[1].cancel()
    time.sleep(0.05)
    left = [behind[0], behind[2]]
    assert not any(one.done() for one in held)
    assert not any(one.done() for one in left)
    go_on.set()
    assert [one.result(60) for one in held] == [True] * 4
    assert [one.result(60) for one in left] == [0, 2]
    assert made.close()


def test_an_owner_takes_no_more_than_it_leaves() -> None:
    made = Workers(2, "test", most=6)
    ends = [threading.Event() for _ in range(9)]
    with working_for("one"):
        many = [made.submit(partial(end.wait, 30), nothing) for end in ends]
    with working_for("two"):
        for _ in range(20):
            assert made.submit(lambda: 2, nothing).result(60) == 2
    assert made.submit(lambda: 3, nothing).result(60) == 3
    assert [one.running() for one in many] == [True] * 3 + [False] * 6
    ends[1].set()
    assert many[1].result(60)
    ends[3].set()  # the next that were asked for
    assert many[3].result(60)
    assert many[8].cancel()
    for end in ends:
        end.set()
    assert all(one.result(60) for one in many[:8])
    with working_for("one"):
        assert made.submit(lambda: 1, nothing).result(60) == 1
    assert (made._unfinished, made._of, list(made._held)) == (0, {}, [])
    assert made.close()


def test_what_is_held_at_the_end_is_done() -> None:
    made = Workers(1, "test", most=2)
    with working_for("one"):
        found = [made.submit(partial(time.sleep, 0.05), nothing) for _ in range(5)]
    assert made.close()
    assert all(one.done() for one in found)


def test_threads_that_are_free_are_taken_first() -> None:
    made = Workers(2, "test", most=9)
    threads = {made.submit(threading.get_ident, nothing).result(60) for _ in range(50)}
    assert len(threads) <= 2
    assert made.close()


def test_what_listens_ends_when_it_is_killed(workers: Workers, go_on: threading.Event) -> None:
    future = workers.submit(go_on.wait, go_on.set, 0.05)
    assert future.result(60)
    assert workers.stuck() == []


def test_what_is_killed_because_of_its_limit_says_so(workers: Workers, go_on: threading.Event) -> None:
    def cancelled() -> None:
        go_on.wait()
        raise EngineError("Code: 394. DB::Exception: Query was cancelled. (QUERY_WAS_CANCELLED)")

    with pytest.raises(EngineError, match=r"Timeout exceeded: it was ended after 0\.05 s"):
        workers.submit(cancelled, go_on.set, 0.05).result(60)


def test_what_does_not_listen_is_given_up_and_others_go_on(workers: Workers, go_on: threading.Event) -> None:
    deaf = [workers.submit(go_on.wait, nothing, 0.05) for _ in range(5)]  # more than there are threads
    behind = workers.submit(lambda: 1, nothing, 5.0)
    for future in deaf:
        with pytest.raises(EngineError, match="Timeout exceeded") as told:
            future.result(60)
        assert told.value.name == "TIMEOUT_EXCEEDED"
    assert behind.result(60) == 1
    assert len(workers.stuck()) == 5
    assert [workers.submit(partial(int, n), nothing).result(60) for n in range(9)] == list(range(9))
    go_on.set()
    while workers.stuck():
        time.sleep(0.01)
    assert workers.submit(lambda: 2, nothing).result(60) == 2


def test_closing_waits_for_what_ends_only(go_on: threading.Event) -> None:
    made = Workers(1, "test")
    slow = made.submit(partial(time.sleep, 0.1), nothing)
    assert made.close()
    assert slow.done()
    with pytest.raises(RuntimeError):
        made.submit(lambda: 1, nothing)
    made = Workers(1, "test")
    future = made.submit(go_on.wait, nothing)
    threading.Timer(0.2, made.give_up, (future, EngineError("over"))).start()
    began = time.monotonic()
    assert not made.close()
    assert time.monotonic() - began < 60


DEAF = (  # some seconds in one call of a function, in which neither the clock nor KILL QUERY is looked at
    "WITH (SELECT groupArray(number) FROM numbers(30000)) AS a "
    "SELECT arraySum(arrayMap(x -> indexOf(a, x + 100000), a))"
)


@pytest.mark.slow
def test_the_engine_answers_others_while_functions_do_not_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_, "_LATE", 0.2)
    engine = EmbeddedEngine(workers=2)
    try:
        settings: dict[str, Any] = {"max_execution_time": 1}
        asked = [engine.stream(f"{DEAF} + {n}", output="JSON", settings=settings, whole=1000) for n in range(2)]
        began = time.monotonic()
        errors = [future.exception(30) for future in asked]
        assert {getattr(error, "name", "") for error in errors} <= {"TIMEOUT_EXCEEDED", "QUERY_WAS_CANCELLED"}
        assert time.monotonic() - began < 25
        assert engine.execute("SELECT 1", output="TSV").body == b"1\n"
        wait(asked)
        while engine.stuck():
            time.sleep(0.1)
    finally:
        engine.close()
