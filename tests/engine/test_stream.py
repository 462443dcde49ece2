"""Large results in parts: the same bytes as of the whole, made no faster than they are taken."""

from __future__ import annotations

import random
import threading
import time

import pytest

from clickpipe.engine import Engine, EngineError, QueryResult, whole
from clickpipe.engine.stream import Stream

FORMATS = ["CSV", "CSVWithNames", "TSV", "TSVWithNames", "TabSeparatedRaw", "JSONEachRow", "JSONCompactEachRow"]
QUERIES = {
    "many rows": "SELECT number, toString(number) AS s FROM numbers(200000)",
    "no row": "SELECT number FROM numbers(10) WHERE number > 10",
    "one row": "SELECT count() FROM numbers(100000)",
    "names and values with breaks": r"""SELECT number AS `a "b"\n`, 'x"y\n' AS t FROM numbers(100000)""",
    "totals": "SELECT number % 2 AS k, count() FROM numbers(10) GROUP BY k WITH TOTALS ORDER BY k",
    "few rows of many": "SELECT number FROM numbers(2000000) WHERE number % 999983 = 3 ORDER BY number",
    "sorted": "SELECT number FROM numbers(200000) ORDER BY number DESC",
}


def stream(engine: Engine, sql: str, output: str = "CSV", most: int = 10_000) -> QueryResult:
    return engine.stream(sql, {}, output=output, whole=most).result(timeout=60)


@pytest.mark.parametrize("output", [*FORMATS, "JSON", "Parquet"])
@pytest.mark.parametrize("sql", QUERIES.values(), ids=QUERIES)
def test_the_same_as_the_whole(engine: Engine, sql: str, output: str) -> None:
    settings = {"max_threads": 1}  # else rows come in any order
    expected = engine.execute(sql, output=output, settings=settings)
    found = whole(engine.stream(sql, {}, output=output, settings=settings, whole=10_000).result())
    if output == "JSON":
        assert found.body.split(b'"statistics"')[0] == expected.body.split(b'"statistics"')[0]
    else:
        assert found.body == expected.body
    assert found.more is None


def test_a_small_result_is_whole(engine: Engine) -> None:
    found = stream(engine, "SELECT number FROM numbers(1000)")
    assert (found.more, found.rows, found.rows_read) == (None, 1000, 1000)
    found = stream(engine, "SELECT number FROM numbers(100000)", "JSON", most=100)
    assert found.more is None


def test_an_error_before_the_first_part(engine: Engine) -> None:
    with pytest.raises(EngineError, match="nope") as caught:
        stream(engine, "SELECT nope")
    assert caught.value.code == 47
    assert engine.execute("SELECT 1", output="TSV").body == b"1\n"


def test_an_error_behind_the_first_part(engine: Engine) -> None:
    found = stream(engine, "SELECT number, throwIf(number = 3000000) FROM numbers(10000000)")
    assert found.more is not None
    with pytest.raises(EngineError, match="throwIf") as caught:
        whole(found)
    assert caught.value.code == 395
    for _ in range(8):
        assert engine.execute("SELECT 1", output="TSV").body == b"1\n"


def test_nobody_wants_the_rest(engine: Engine) -> None:
    for _ in range(20):
        found = stream(engine, "SELECT number FROM numbers(100000000000)")
        assert found.more is not None
        assert found.more.take()
        found.more.close()
        found.more.close()
        assert found.more.take() is None
    assert engine.execute("SELECT 1", output="TSV").body == b"1\n"


def test_slow_clients_do_not_hold_all_workers(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clickpipe.engine.stream._IN_FILE", 1)
    found = [stream(engine, "SELECT number FROM numbers(1000000)") for _ in range(12)]
    assert 0 < sum(one.more is not None for one in found) <= 2
    assert len({len(whole(one).body) for one in found}) == 1


def test_nothing_is_made_far_ahead_of_who_takes_it(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The query of `stream` reads as many parts as were taken, and a few ahead."""
    monkeypatch.setattr("clickpipe.engine.stream._IN_FILE", 1)
    found = stream(engine, "SELECT number, sleepEachRow(0) FROM numbers(100000000000)")
    assert found.more is not None
    time.sleep(0.2)
    running = "SELECT sum(read_rows) FROM system.processes WHERE query LIKE '%sleepEachRow(0)%numbers(1000000%'"
    before = int(engine.execute(running, output="TSV").body)
    time.sleep(0.3)
    assert int(engine.execute(running, output="TSV").body) == before
    found.more.close()


def test_making_waits_for_taking_when_much_lies_in_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clickpipe.engine.stream._IN_FILE", 3)
    parts = Stream(patience=60)
    made: list[int] = []

    def make() -> None:
        for number in range(10):
            made.append(number)
            parts.put(b"%d" % number)
        parts.put(None)

    thread = threading.Thread(target=make)
    thread.start()
    while len(made) < 6:
        time.sleep(0.001)
    time.sleep(0.05)
    assert len(made) == 6  # two in memory, three in the file, and one that waits
    assert b"".join(iter(parts.take, None)) == b"0123456789"
    thread.join()


def test_parts_come_in_order_whoever_is_faster() -> None:
    rng, parts = random.Random(1), Stream()
    taken: list[bytes] = []
    numbers = iter(range(1000))
    for _ in range(200):
        for _ in range(rng.randrange(6)):
            assert parts.put(b"%d," % next(numbers))
        while rng.randrange(4) and (parts._parts or parts._sizes):
            taken.append(parts.take() or b"")
    assert parts.put(None)
    assert b"".join([*taken, *iter(parts.take, None)]) == b"".join(b"%d," % n for n in range(next(numbers)))
    parts.close()


def test_a_client_that_takes_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clickpipe.engine.stream._IN_FILE", 1)
    parts = Stream(patience=0.01)
    assert [parts.put(part) for part in (b"a", b"b", b"c", b"d")] == [True, True, True, False]
    assert [parts.take(), parts.take(), parts.take()] == [b"a", b"b", b"c"]
    with pytest.raises(EngineError, match="took nothing for"):
        parts.take()


def test_who_takes_is_told_of_closing() -> None:
    parts = Stream()
    taken: list[bytes | None] = []
    thread = threading.Thread(target=lambda: taken.append(parts.take()))
    thread.start()
    parts.close()
    thread.join(timeout=10)
    assert taken == [None]
