"""A workspace whose statements nothing ends is refused more: it neither stops the server nor holds others."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace

import pytest

from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import EngineError, workers as workers_, working_for
from clickpipe.engine.workers import Workers
from clickpipe.query import ConcurrencyLimiter
from clickpipe.server.run import _is_stuck


@pytest.fixture
def go_on() -> Iterator[threading.Event]:
    found = threading.Event()
    yield found
    found.set()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, go_on: threading.Event) -> Iterator[Workers]:
    monkeypatch.setattr(workers_, "_LOOK", 0.01)
    found = Workers(2, "test", grace=0.05, most=12)
    yield found
    go_on.set()
    found.close()


def nothing() -> None:
    """Kill as ClickHouse kills a function that does not listen."""


def stick(made: Workers, go_on: threading.Event, whose: str, count: int) -> None:
    with working_for(whose):
        deaf = [made.submit(go_on.wait, nothing, 0.05) for _ in range(count)]
    for future in deaf:
        with pytest.raises(EngineError, match="Timeout exceeded"):
            future.result(60)


def test_more_of_an_owner_waits_until_one_ends(made: Workers, go_on: threading.Event) -> None:
    stick(made, go_on, "bolt", 2)
    assert made.stuck_of() == {"bolt": 2}
    with working_for("bolt"):
        behind = [made.submit(partial(int, n), nothing) for n in range(5)]
    with working_for("acme"):
        assert [made.submit(partial(int, n), nothing).result(60) for n in range(20)] == list(range(20))
    assert made.submit(partial(int, 7), nothing).result(60) == 7
    assert not any(one.done() for one in behind)
    go_on.set()
    assert [one.result(60) for one in behind] == list(range(5))
    while made.stuck():
        time.sleep(0.01)
    assert made.stuck_of() == {}


class Engine:
    """Runs queries on threads as the engine does; `deaf` is one that nothing ends."""

    def __init__(self, made: Workers, go_on: threading.Event) -> None:
        self._made, self._go_on = made, go_on
        self.stuck_of, self.stuck_callers = made.stuck_of, made.stuck_callers

    def stream(self, sql: str, *_: object, **__: object) -> object:
        run = self._go_on.wait if sql == "deaf" else partial(str, sql)
        return self._made.submit(lambda: SimpleNamespace(ended=None, more=None, sql=run()), nothing, 0.05)

    def cancel(self, tag: str) -> None:
        assert tag


def gate(made: Workers, go_on: threading.Event, at_once: int) -> ConcurrencyLimiter:
    return ConcurrencyLimiter(Engine(made, go_on), at_once, 100)  # type: ignore[arg-type]


def test_queries_of_a_workspace_are_refused_while_twice_its_threads_are_lost(
    made: Workers, go_on: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clickpipe.query.limiter.replace", lambda result, **_: result)
    own = gate(made, go_on, 2)
    asked = [own.submit("deaf", {}, "JSON", {}, "bolt").future for _ in range(9)]
    told = [future.exception(5) for future in asked]
    names = [error.name for error in told if isinstance(error, EngineError)]
    assert names == ["TIMEOUT_EXCEEDED"] * 4 + ["TOO_MANY_SIMULTANEOUS_QUERIES"] * 5
    assert made.stuck_of() == {"bolt": 4}
    with pytest.raises(ClickpipeError, match="go on though they were ended") as refused:
        own.submit("x", {}, "JSON", {}, "bolt")
    assert refused.value.status == 429
    for number in range(20):
        own.submit(str(number), {}, "JSON", {}, "acme").future.result(60)
    assert own.waiting == own.running == 0
    go_on.set()
    while made.stuck():
        time.sleep(0.01)
    own.submit("x", {}, "JSON", {}, "bolt").future.result(60)


def test_a_token_whose_sql_is_lost_gets_no_more_of_its_own_and_stops_no_other(
    made: Workers, go_on: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clickpipe.query.limiter.replace", lambda result, **_: result)
    own = gate(made, go_on, 2)
    asked = [own.submit("deaf", {}, "JSON", {}, "bolt", ("bolt", "mallory")).future for _ in range(9)]
    names = [getattr(future.exception(5), "name", "") for future in asked]
    assert sorted(set(names)) == ["TIMEOUT_EXCEEDED", "TOO_MANY_SIMULTANEOUS_QUERIES"]
    assert names.count("TIMEOUT_EXCEEDED") == len(made.stuck()) <= 2
    with pytest.raises(ClickpipeError, match="A query of this token goes on") as refused:
        own.submit("x", {}, "JSON", {}, "bolt", ("bolt", "mallory"))
    assert refused.value.status == 429
    for number in range(9):
        own.submit(str(number), {}, "JSON", {}, "bolt", ("bolt", "alice")).future.result(60)
        own.submit(str(number), {}, "JSON", {}, "bolt").future.result(60)  # an endpoint
    go_on.set()
    while made.stuck():
        time.sleep(0.01)
    own.submit("x", {}, "JSON", {}, "bolt", ("bolt", "mallory")).future.result(60)


def test_one_that_is_lost_leaves_the_others(
    made: Workers, go_on: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clickpipe.query.limiter.replace", lambda result, **_: result)
    own = gate(made, go_on, 2)
    assert isinstance(own.submit("deaf", {}, "JSON", {}, "bolt").future.exception(5), EngineError)
    asked = [own.submit(str(n), {}, "JSON", {}, "bolt").future for n in range(9)]
    for future in asked:
        future.result(60)
    assert made.stuck_of() == {"bolt": 1}


Stuck = list[tuple[str, float]]
ALL = [f"w{number}" for number in range(9)]
CASES: tuple[tuple[list[str], Stuck, bool], ...] = (
    (ALL, [], False),
    (ALL, [("w1", 5.0)] * 40, False),
    (ALL, [("w1", 3_000.0)] * 8, False),
    (ALL, [(name, 5.0) for name in ALL[:4]] * 8, False),
    (ALL, [(name, 3_000.0) for name in ALL[:4]], False),
    (ALL, [(name, 5.0) for name in ALL[:5]], True),
    (ALL, [("", 5.0)] * 4, False),
    (ALL, [("", 5.0)] * 5, True),
    (ALL, [("", 5.0), ("", 301.0)], True),
    (["w0"], [("w0", 299.0)] * 8, False),
    (["w0"], [("w0", 301.0)], True),
    (["w0", "w1"], [("w0", 301.0), ("w1", 299.0)], False),
    (["w0", "w1"], [("w0", 301.0), ("w1", 5.0), ("w1", 301.0)], True),
)


@pytest.mark.parametrize(("workspaces", "stuck", "again"), CASES)
def test_no_workspace_has_the_server_start_anew_for_others(workspaces: list[str], stuck: Stuck, *, again: bool) -> None:
    engine = SimpleNamespace(stuck=lambda: stuck, stuck_of=lambda: Counter(owner for owner, _ in stuck))
    settings = SimpleNamespace(workers=4, query_stuck_seconds=300.0)
    known = [SimpleNamespace(id=name, parent="") for name in workspaces]
    known.append(SimpleNamespace(id="preview", parent=workspaces[0]))
    found = SimpleNamespace(engine=engine, settings=settings, workspaces=known)
    assert _is_stuck(found) is again  # type: ignore[arg-type]
