"""Results come out of the engine through a pipe: counted, bounded in memory, whatever the format."""

from __future__ import annotations

import contextlib
import re
import threading
from pathlib import Path

import pytest

from clickpipe.engine import Engine, EngineError, whole
from clickpipe.query import FORMATS, format_names
from tests.conftest import RunPython

_TIMES = re.compile(rb'(elapsed"?[:>] ?)[0-9.e-]+')
WIDE = "SELECT repeat('x', 1000000) AS s FROM numbers({})"
PEAK = """
import sys
from pathlib import Path
from clickpipe.engine import EmbeddedEngine, EngineError

def peak():
    return next(int(line.split()[1]) // 1000 for line in open("/proc/self/status") if line.startswith("VmHWM"))

engine = EmbeddedEngine(None, scratch=Path(sys.argv[1]))
engine.execute("SELECT 1")
before, size = peak(), 0
for output in ("JSON", "JSONEachRow", "CSV", "TSV", "Native", "Pretty", "Parquet", "JSONColumns"):
    sql = "SELECT repeat('x', 1000000) AS s, toLowCardinality(s) AS t FROM numbers(250)"
    try:
        found = engine.stream(sql, {}, output=output, whole=1 << 20).result()
        size = max(size, len(found.body))
        while found.more and (part := found.more.take()):
            size = max(size, len(part))
    except EngineError as error:
        print(output, error)
print(peak() - before, size >> 20)
engine.close()
"""


def test_a_large_document_lies_in_a_file_until_it_is_taken(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clickpipe.engine.outlet._HELD", 100_000)
    sql = "SELECT number, toString(number) AS s FROM numbers(50000) ORDER BY number LIMIT 40000"
    found = engine.stream(sql, {}, output="JSON", whole=10_000).result()
    assert found.more is not None
    assert (found.rows, found.rows_read) == (40_000, 50_000)  # as it has ended: nothing of it is sent before
    expected = engine.execute(sql, output="JSON").body
    assert whole(found).body.split(b'"statistics"')[0] == expected.split(b'"statistics"')[0]
    assert b'"rows_before_limit_at_least": 50000' in expected


def test_an_error_in_a_large_document_is_told_before_it(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clickpipe.engine.outlet._HELD", 100_000)
    sql = "SELECT number, throwIf(number = 3000000) FROM numbers(10000000)"
    with pytest.raises(EngineError, match="throwIf"):
        engine.stream(sql, {}, output="JSON", whole=10_000).result(timeout=60)


def test_a_document_that_is_too_large_ends_its_query(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clickpipe.engine.outlet._HELD", 100_000)
    monkeypatch.setattr("clickpipe.engine.stream._IN_FILE", 1_000_000)
    with pytest.raises(EngineError, match="too large to be held: ask for ndjson or csv"):
        engine.stream("SELECT number FROM numbers(100000000000)", {}, output="JSON", whole=10_000).result(timeout=60)
    assert engine.execute("SELECT 1", output="TSV").body == b"1\n"


@pytest.mark.parametrize("output", sorted(format_names()))
def test_every_format_comes_out_as_it_is(engine: Engine, output: str) -> None:
    sql = "SELECT 1.5 AS value, 'metric' AS name, 'gauge' AS type, 'h' AS help, map('a', 'b') AS labels"
    sql = {
        "PNG": "SELECT 1 AS r",
        "GeoJSON": "SELECT (1., 2.)::Point AS geometry",
        "Npy": "SELECT 1 AS n",
        "Buffers": "SELECT 1 AS n",
    }.get(output, sql)
    try:
        expected = engine.execute(sql, output=output).body
    except EngineError as error:
        with pytest.raises(EngineError, match=error.name):
            engine.stream(sql, {}, output=output, whole=1 << 20).result(timeout=60)
        return
    found = engine.stream(sql, {}, output=output, whole=1 << 20).result(timeout=60)
    if "Progress" in output:  # it tells of memory too
        assert found.body.split(b"\n")[0] == expected.split(b"\n")[0]
    elif output == "Avro":  # makes a mark of its own
        assert len(found.body) == len(expected)
    else:
        assert _TIMES.sub(b"", found.body) == _TIMES.sub(b"", expected)


@pytest.mark.parametrize("output", ["JSON", "CSV"])
def test_nothing_is_left_open(engine: Engine, output: str) -> None:
    def run(sql: str) -> None:
        with contextlib.suppress(EngineError):
            found = engine.stream(sql, {}, output=output, whole=10_000).result(timeout=60)
            if found.more:
                found.more.take()
                found.more.close()

    queries = ["SELECT nope", "SELECT 1", "SELECT throwIf(number = 200000) FROM numbers(1000000)", WIDE.format(30)]
    for sql in queries:
        run(sql)
    before = _open()
    for sql in queries * 40:
        run(sql)
    sessions = sum(thread.name.startswith("engine_") for thread in threading.enumerate())
    assert _open() <= before + sessions  # a failed query's end stays until the session's next


@pytest.mark.slow
def test_memory_is_bounded_whatever_the_format(run_python: RunPython, tmp_path: Path) -> None:
    *_, last = run_python(PEAK, tmp_path).stdout.splitlines()
    grown, largest = map(int, last.split())
    assert grown < 900, "MB: the values themselves, in the engine, are 500"
    assert largest <= 17, "MB at once"


def _open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_formats_of_endpoints_are_among_them() -> None:
    assert {output.clickhouse for output in FORMATS.values()} <= set(format_names())


@pytest.mark.parametrize("sql", ["SELECT 1,", "SELECT 1, // a comment", "WITH 1 AS a SELECT a,\n", "SELECT 1, --"])
def test_an_error_behind_the_query_shows_nothing_of_how_it_is_run(engine: Engine, sql: str) -> None:
    """Behind a comma ClickHouse takes `INTO OUTFILE` for a column and its alias."""
    with pytest.raises(EngineError) as error:
        engine.stream(sql, {}, output="JSON", whole=10_000).result(timeout=60)
    assert (error.value.name, "OUTFILE" in str(error.value)) == ("SYNTAX_ERROR", False)
    assert "/dev/fd" not in str(error.value)
    assert "SETTINGS" not in str(error.value)


def test_an_error_within_a_query_shows_nothing_behind_it(engine: Engine) -> None:
    for sql, end in (
        ("SELECT ) FROM t", "no matching opening bracket."),
        ("SELECT 1 FROM t WHERE 1 1", "end of query."),
    ):
        with pytest.raises(EngineError, match="failed at position") as error:
            engine.stream(sql, {}, output="JSON", whole=10_000).result(timeout=60)
        told = str(error.value)
        assert ("/dev/fd" in told, "log_comment" in told, told.endswith(end)) == (False, False, True), told


@pytest.mark.parametrize("sql", ["1", "1 + 1 AS a", 'SHOW "TABLES"', "“BEGIN” TRANSACTION", "now()"])
def test_what_is_no_select_is_not_taken_for_one(engine: Engine, sql: str) -> None:
    """chdb takes expressions for SELECTs, as ClickHouse's own programs do and servers do not."""
    for ask in (engine.syntax_tree, engine.execute):
        with pytest.raises(EngineError) as error:
            ask(sql)
        assert error.value.name == "SYNTAX_ERROR"
