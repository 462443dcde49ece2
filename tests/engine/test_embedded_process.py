"""ClickHouse in a process of its own: its folder, its spool, its time zone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import RunPython


@pytest.mark.slow
def test_a_folder_keeps_its_data_and_closing_twice_does_no_harm(run_python: RunPython, tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from clickpipe.engine import EmbeddedEngine

        engine = EmbeddedEngine(Path(sys.argv[1]), workers=2)
        engine.execute("CREATE DATABASE IF NOT EXISTS d")
        engine.execute("CREATE TABLE IF NOT EXISTS d.t (n Int8) ENGINE = MergeTree ORDER BY n")
        engine.execute("INSERT INTO d.t VALUES (1)")
        print(engine.execute("SELECT count() FROM d.t", output="TSV").body.decode())
        engine.close()
        engine.close()
    """
    assert [run_python(code, tmp_path).stdout.strip() for _ in range(2)] == ["1", "2"]


@pytest.mark.slow
def test_a_second_folder_is_refused_until_the_first_is_closed(run_python: RunPython, tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from clickpipe.engine import EmbeddedEngine, EngineError

        first = EmbeddedEngine(Path(sys.argv[1]) / "a")
        try:
            EmbeddedEngine(Path(sys.argv[1]) / "b")
        except EngineError as error:
            print("refused")
        first.close()
        EmbeddedEngine(Path(sys.argv[1]) / "b").close()
    """
    assert run_python(code, tmp_path).stdout.strip() == "refused"


@pytest.mark.slow
def test_the_spool_is_read_again_after_a_restart_and_no_other_file_ever(run_python: RunPython, tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from clickpipe.engine import EmbeddedEngine, EngineError

        engine = EmbeddedEngine(Path(sys.argv[1]) / "engine", ingests=True)
        for lines in (b"one", b"two\\nthree"):
            with engine.lines([("0" * 36, lines)]) as source:
                print(engine.execute(f"SELECT document FROM {source}", output="TSV").body.decode().split())
        for sql in ("SELECT * FROM file('/etc/passwd', 'LineAsString')",
                    "CREATE TABLE default.t (s String) ENGINE = File(LineAsString, '/etc/passwd')"):
            try:
                engine.execute(sql)
            except EngineError as error:
                print(error.name)
        engine.close()
    """
    expected = ["['one']", "['two', 'three']", "ACCESS_DENIED", "ACCESS_DENIED"]
    for place in ("before", "before", "after"):  # the folder may be moved
        if place == "after":
            (tmp_path / "before").rename(tmp_path / "after")
        assert run_python(code, tmp_path / place).stdout.splitlines() == expected


def test_times_are_utc_whatever_the_machines_zone_is(run_python: RunPython) -> None:
    code = """
        import os, time
        os.environ["TZ"] = "Europe/Madrid"
        from clickpipe.engine import EmbeddedEngine
        engine = EmbeddedEngine(None)
        sql = "SELECT timezone(), toUnixTimestamp(toDateTime('2026-01-01 00:00:00')), toDateTime(0)"
        print(engine.execute(sql, output="TSV").body.decode(), time.localtime(0).tm_hour)
        engine.close()
    """
    assert run_python(code).stdout.split() == ["UTC", "1767225600", "1970-01-01", "00:00:00", "1"]
