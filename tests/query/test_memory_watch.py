"""Queries of one workspace leave others, and ingestion, the memory that they need."""

from __future__ import annotations

import pytest

from clickpipe.engine import EngineError
from clickpipe.query import ConcurrencyLimiter, memory_watch
from clickpipe.query.memory_watch import MemoryWatch
from clickpipe.runtime import Instance

HOG = "SELECT length(groupArray(repeat('x', 1000) || toString(number))) FROM numbers({rows})"


def test_the_largest_of_who_uses_most_is_ended_until_the_rest_fits() -> None:
    watch = MemoryWatch(100)
    whose = {"a": "bolt", "b": "bolt", "c": "acme", "d": "acme"}
    assert watch.excess({"a": 20, "b": 30, "c": 50, "d": 0}, whose, whose) == []
    assert watch.excess({"a": 40, "b": 45, "c": 60, "d": 0, "insert": 900}, whose, whose) == ["b"]
    assert MemoryWatch(100).excess({"a": 90, "b": 95, "c": 60, "d": 0}, whose, whose) == ["b", "a"]


def test_an_ended_one_has_a_moment_to_give_its_memory_back(monkeypatch: pytest.MonkeyPatch) -> None:
    watch, whose = MemoryWatch(100), {"a": "bolt", "b": "bolt", "c": "acme"}
    used = {"a": 60, "b": 70, "c": 30}
    assert watch.excess(used, whose, whose) == ["b"]
    assert watch.excess(used, whose, whose) == []
    monkeypatch.setattr(memory_watch, "_MOMENT", 0.0)
    assert watch.excess(used, whose, whose) == ["a"]
    assert watch.excess({"a": 60, "b": 70, "c": 30}, whose, whose) == ["c"]


def test_a_stuck_one_counts_for_its_workspace_but_is_not_ended_again() -> None:
    whose = {"stuck": "bolt", "a": "bolt", "b": "acme"}
    assert MemoryWatch(100).excess({"stuck": 50, "a": 20, "b": 60}, whose, {"a": "bolt", "b": "acme"}) == ["a", "b"]
    assert MemoryWatch(115).excess({"stuck": 50, "a": 20, "b": 60}, whose, {"a": "bolt", "b": "acme"}) == ["a"]


def test_who_asks_for_much_at_once_gets_a_413_and_others_their_answer(instance: Instance) -> None:
    own = ConcurrencyLimiter(instance.engine, 4, 20, 400_000_000)
    greedy = [own.submit(HOG.format(rows=3_000_000 + n), {}, "TSV", {"max_threads": 1}, "bolt") for n in range(3)]
    small = [own.submit(HOG.format(rows=1_000 + n), {}, "TSV", {}, "acme").future for n in range(5)]
    assert [future.result(120).body for future in small] == [f"{1_000 + n}\n".encode() for n in range(5)]
    told = [running.future.exception(120) for running in greedy]
    assert all(isinstance(error, EngineError) and error.name == "MEMORY_LIMIT_EXCEEDED" for error in told)
    assert "together may use 400000000 bytes" in str(told[0])
    alone = own.submit(HOG.format(rows=100_000), {}, "TSV", {}, "bolt").future
    assert alone.result(120).body == b"100000\n"
