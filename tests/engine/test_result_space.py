"""Results that clients do not take keep no more on disk than all together may."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from clickpipe.engine import EmbeddedEngine, EngineError, QueryResult, whole
from clickpipe.engine.result_space import ResultSpace
from clickpipe.engine.stream import Stream


def filled(space: ResultSpace, owner: str, parts: int) -> Stream:
    found = Stream(space, owner)
    for _ in range(parts + 2):  # two stay in memory
        found.put(b"x" * 10)
    return found


def taken(stream: Stream) -> int:
    return sum(len(part) for part in iter(stream.take, None))


def dropped(stream: Stream) -> bool:
    if not stream.is_closed:
        return False
    with pytest.raises(EngineError, match="need too much room on the disk") as refused:
        taken(stream)
    assert refused.value.name == "TOO_MANY_ROWS_OR_BYTES"
    return True


def test_the_largest_of_who_keeps_most_is_dropped(tmp_path: Path) -> None:
    space = ResultSpace(tmp_path, 100)
    small, large, others = filled(space, "bolt", 3), filled(space, "bolt", 4), filled(space, "acme", 3)
    assert not any(one.is_closed for one in (small, large, others))
    assert others.put(b"y" * 10) is True  # more than 100 now
    assert [dropped(one) for one in (small, large, others)] == [False, True, False]
    assert large.put(b"z") is False
    for one in (small, others):
        one.put(None)
    assert [taken(small), taken(others)] == [50, 60]


def test_what_is_taken_or_closed_is_room_again(tmp_path: Path) -> None:
    space = ResultSpace(tmp_path, 100)
    for _ in range(5):
        one, other = filled(space, "bolt", 9), filled(space, "bolt", 1)
        other.close()
        one.put(None)
        assert taken(one) == 110
    one = Stream(space, "bolt")
    for _ in range(50):  # never ends, and is taken as fast as it is made
        for _ in range(5):
            one.put(b"x" * 10)
        assert sum(len(one.take() or b"") for _ in range(5)) == 50
    assert not one.is_closed
    one.close()


def test_many_that_grow_at_once_wait_for_nobody(tmp_path: Path) -> None:
    space = ResultSpace(tmp_path, 1000)
    streams = [Stream(space, f"workspace {n % 3}") for n in range(12)]

    def fill(one: Stream) -> None:
        while one.put(b"x" * 50):
            pass

    threads = [threading.Thread(target=fill, args=(one,), daemon=True) for one in streams]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(one.is_closed for one in streams)


@pytest.mark.parametrize("output", ["CSV", "JSON"])
def test_a_query_whose_result_has_no_room_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str) -> None:
    monkeypatch.setattr("clickpipe.engine.outlet._HELD", 1_000_000)
    engine = EmbeddedEngine(workers=2, scratch=tmp_path, results_on_disk=8_000_000)

    def ask(rows: int) -> QueryResult:
        sql = f"SELECT repeat('x', 100000) AS s FROM numbers({rows})"
        return engine.stream(sql, {}, output=output, whole=1_000_000).result(60)

    try:
        assert len(whole(ask(30)).body) > 3_000_000
        if output == "JSON":
            with pytest.raises(EngineError, match="need too much room on the disk"):
                ask(100_000)
        else:
            found = ask(100_000)
            assert isinstance(found.more, Stream)
            while not found.more.is_closed:  # its client takes nothing
                threading.Event().wait(0.01)
            assert dropped(found.more)
        assert len(whole(ask(30)).body) > 3_000_000
    finally:
        engine.close()
