"""What ClickHouse wrote and the system did not take: noticed, taken out, written again; whatever of it was refused.

A limit on the size of files stands for a full disk: the system refuses the rest of a write in the same way.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from clickpipe.engine import EngineError
from clickpipe.engine.damage import Inspector
from tests.conftest import RunPython

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files")

HEAD = """
    import json, os, resource, signal, sys, time
    from contextlib import contextmanager
    from pathlib import Path
    from clickpipe.engine import EmbeddedEngine, EngineError, damage

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    inspect = damage.Inspector.inspect

    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def look(inspector, since):  # the disk has room again when parts are taken out
        limit(resource.RLIM_INFINITY)
        return inspect(inspector, since)

    damage.Inspector.inspect = look
    engine = EmbeddedEngine(Path(sys.argv[1]))

    def tried(sql, **settings):
        try:
            engine.execute(sql, settings=settings)
        except EngineError as error:
            return error.name

    def insert(number):
        rows = f"SELECT number, toString(number), randomPrintableASCII(9000) FROM numbers({number * 10}, 10)"
        return tried(f"INSERT INTO d.events {rows}", insert_deduplication_token=f"t{number}")

    def rows(table="events"):
        sql = f"SELECT count(), uniqExact(id) FROM d.{table}"
        return json.loads(engine.execute(sql, output="JSONCompact").body)["data"][0]

    def make():
        ordered = "ORDER BY id SETTINGS non_replicated_deduplication_window = 100"
        engine.execute("CREATE DATABASE d")
        engine.execute(f"CREATE TABLE d.events (id Int64, name String, filler String) ENGINE = MergeTree {ordered}")
        engine.execute(f"CREATE TABLE d.sums (id Int64, n Int64) ENGINE = SummingMergeTree {ordered}")
        engine.execute("CREATE MATERIALIZED VIEW d.mv TO d.sums AS SELECT id, count() AS n FROM d.events GROUP BY id")
"""


def run(run_python: RunPython, code: str, *arguments: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run_python(HEAD + code, *arguments).stdout)
    return found


INSERTS = """
    make()
    first = insert(0)
    limit(int(sys.argv[2]))
    second = insert(1)
    limit(resource.RLIM_INFINITY)
    between = rows(), rows("sums")
    again = insert(1), insert(1), insert(0), insert(2)
    limit(int(sys.argv[2]))
    merged = tried("OPTIMIZE TABLE d.events FINAL")
    limit(resource.RLIM_INFINITY)
    after = rows(), rows("sums"), insert(1), rows(), tried("OPTIMIZE TABLE d.events FINAL"), rows()
    engine.close()
    engine = EmbeddedEngine(Path(sys.argv[1]))
    reopened = rows(), insert(1), rows(), rows("sums")
    engine.close()
    print(json.dumps(dict(first=first, second=second, between=between, again=again, merged=merged, after=after,
                          reopened=reopened)))
"""


@pytest.mark.parametrize("size", [0, 1, 60, 200, 300, 20_000])
def test_what_the_disk_refused_is_taken_out_and_written_again(run_python: RunPython, tmp_path: Path, size: int) -> None:
    """Of several files all of it, or some, or the end of one."""
    found = run(run_python, INSERTS, tmp_path, str(size))
    assert (found["first"], found["second"]) == (None, "NOT_ENOUGH_SPACE")
    assert found["between"][0] == [10, 10]
    assert found["again"] == [None] * 4
    assert found["merged"] == "NOT_ENOUGH_SPACE"
    assert found["after"] == [[30, 30], [30, 30], None, [30, 30], None, [30, 30]]
    assert found["reopened"] == [[30, 30], None, [30, 30], [30, 30]]


KILLED = """
    make()
    insert(0)
    damage.Inspector.end = lambda *_, **__: None  # killed before it looks
    limit(int(sys.argv[2]))
    insert(1)
    limit(resource.RLIM_INFINITY)
    print("{}", flush=True)
    os._exit(0)
"""
AFTER_A_KILL = """
    at_start = rows()
    found = insert(1), insert(1), insert(0)
    left = engine._inspector.start()
    print(json.dumps(dict(at_start=at_start, found=found, rows=rows(), sums=rows("sums"), left=left)))
    engine.close()
"""


@pytest.mark.parametrize("size", [0, 20_000])
def test_a_kill_before_it_is_noticed(run_python: RunPython, tmp_path: Path, size: int) -> None:
    run(run_python, KILLED, tmp_path, str(size))
    (tmp_path / "running").touch()
    found = run(run_python, AFTER_A_KILL, tmp_path)
    assert found["at_start"] == [10, 10]
    assert (found["rows"], found["sums"], found["found"]) == ([20, 20], [20, 20], [None] * 3)
    assert found["left"] == 0


MUTATIONS = """
    make()
    insert(0)
    engine.execute("CREATE TABLE d.plain (id Int64) ENGINE = MergeTree ORDER BY id")
    if sys.argv[3] == "unseen":
        damage.Inspector.end = lambda *_, **__: None
    limit(0)
    refused = tried(sys.argv[2])
    limit(resource.RLIM_INFINITY)
    if sys.argv[3] == "unseen":
        print("{}", flush=True)
        os._exit(0)
    before = rows()
    again = tried(sys.argv[2], mutations_sync=1)
    after = rows()
    engine.close()
    engine = EmbeddedEngine(Path(sys.argv[1]))
    print(json.dumps(dict(refused=refused, before=before, again=again, after=after, reopened=rows())))
    engine.close()
"""


@pytest.mark.parametrize("sql", ["ALTER TABLE d.events DELETE WHERE id < 5", "DELETE FROM d.events WHERE id < 5"])
def test_mutations(run_python: RunPython, tmp_path: Path, sql: str) -> None:
    """With one that has no text ClickHouse does not start."""
    found = run(run_python, MUTATIONS, tmp_path / "seen", sql, "seen")
    assert (found["refused"], found["again"]) == ("NOT_ENOUGH_SPACE", None)
    assert (found["before"], found["after"], found["reopened"]) == ([10, 10], [5, 5], [5, 5])
    run(run_python, MUTATIONS, tmp_path / "unseen", sql, "unseen")
    at_start = "    print(json.dumps(rows()))\n    engine.close()\n"
    assert json.loads(run_python(HEAD + at_start, tmp_path / "unseen").stdout) == [10, 10]


FREQUENT = """
    make()
    settings = {"insert_deduplicate": 1, "insert_deduplication_token": "t"}
    lines = b"".join(b'[%d,"a","%s"]\\n' % (n, os.urandom(4000).hex().encode()) for n in range(10))
    since = engine.look()
    limit(20000)
    engine.insert("d.events", "id, name, filler", lines, settings)
    limit(resource.RLIM_INFINITY)
    found = engine.inspect(since)
    again = engine.inspect(found).repairs - found.repairs
    none = rows()
    engine.insert("d.events", "id, name, filler", lines, settings)
    repairs = found.repairs - since.repairs
    print(json.dumps(dict(repairs=repairs, again=again, none=none, rows=rows(), sums=rows("sums"))))
    engine.close()
"""


def test_what_is_written_often_is_looked_at_later(run_python: RunPython, tmp_path: Path) -> None:
    found = run(run_python, FREQUENT, tmp_path)
    assert (found["repairs"], found["again"], found["none"]) == (1, 0, [0, 0])
    assert (found["rows"], found["sums"]) == ([10, 10], [10, 10])


LEFT = """
    make()
    before = engine.inspect(engine.look()).refused
    wide = "SELECT number, repeat('x', 100) FROM numbers(100000000)"
    result = engine.stream(wide, output="CSV", whole=1 << 20).result()
    result.more.take()
    result.more.close()
    try:
        engine.stream(wide, output="JSON", settings={"max_execution_time": 5}, whole=1 << 20).result()
    except EngineError:
        pass
    engine.execute("SELECT sleep(0.5)")
    print(json.dumps(engine.inspect(engine.look()).refused - before))
    engine.close()
"""


def test_a_result_that_nobody_wants_any_more_is_no_full_disk(run_python: RunPython, tmp_path: Path) -> None:
    assert json.loads(run_python(HEAD + LEFT, tmp_path).stdout) == 0


@pytest.mark.parametrize(("moved", "since"), [(0, 998), (500, 998), (-500, 498)])
def test_parts_since_the_last_look_are_checked_whatever_the_clock_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: int, since: int
) -> None:
    asked, refused, clock = list[str](), [0], [1000]

    def run(sql: str, _output: str) -> bytes:
        asked.append(sql)
        if "system.merges" in sql:
            return b"0\n"
        return str(refused[0]).encode() if "system.events" in sql else b'{"data": []}'

    monkeypatch.setattr("clickpipe.engine.damage.time.time", lambda: clock[0])
    inspector = Inspector(tmp_path, run, asked.append)
    first = inspector.inspect(inspector.last)
    refused[0], clock[0] = 3, 1000 + moved
    assert inspector.inspect(first).repairs == 0
    assert any(f"fromUnixTimestamp({since})" in sql for sql in asked)
    asked.clear()
    inspector.inspect(inspector.last)
    assert len(asked) == 1  # nothing was refused since


def test_what_a_merge_is_writing_is_looked_at_when_it_is_there(tmp_path: Path) -> None:
    merges, asked = [1], list[str]()

    def run(sql: str, _output: str) -> bytes:
        asked.append(sql)
        if "system.merges" in sql:
            return str(merges[0]).encode()
        return b"3" if "system.events" in sql else b'{"data": []}'

    inspector = Inspector(tmp_path, run, asked.append)
    for running, parts in ((1, 1), (1, 1), (0, 1), (0, 0)):
        merges[0] = running
        asked.clear()
        inspector.inspect(inspector.last)
        assert sum("system.parts" in sql for sql in asked) == parts


def test_a_repair_that_fails_behind_the_first_step_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was taken out by it is to be written again, too."""
    monkeypatch.setattr("clickpipe.engine.damage._AGAIN_AFTER", ())
    part = tmp_path / "data" / "store" / "a" / "b" / "all_1_1_0"
    part.mkdir(parents=True)
    (part / "count.txt").write_text("")
    definition = tmp_path / "data" / "metadata" / "ws" / "t.sql"
    definition.parent.mkdir(parents=True)
    definition.write_text("ATTACH TABLE")
    refused, broken = [0], [True]

    def run(sql: str, _output: str) -> bytes:
        if sql.startswith("ATTACH") and broken[0]:
            raise EngineError("Code: 241. DB::Exception: no memory. (MEMORY_LIMIT_EXCEEDED)")
        if "system.parts" in sql:
            return json.dumps({"data": [["ws", "t", part.name, str(part)]] if part.exists() else []}).encode()
        return str(refused[0]).encode() if "system.events" in sql else b"0"

    inspector = Inspector(tmp_path, run, lambda _: None)
    before = inspector.last
    refused[0] = 10
    with pytest.raises(EngineError, match="no memory"):
        inspector.inspect(before)
    broken[0] = False
    assert inspector.inspect(before).repairs == 1
    assert not part.exists()
