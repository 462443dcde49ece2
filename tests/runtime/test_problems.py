"""Damaged files of the engine, and rows that wait, are told; they are nobody's bug."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import RunPython


def test_a_damaged_part_is_told_and_the_rest_answers(run_python: RunPython, tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from clickpipe.runtime import Instance

        folder = Path(sys.argv[1])
        with Instance(folder) as instance:
            workspace = instance.default
            workspace.deploy({"events.datasource": "SCHEMA >\\n    id UInt64\\nENGINE_SORTING_KEY id\\n"})
            workspace.ingest("events", [{"id": 1}])
            workspace.ingest("events", [{"id": 2}])
            assert instance.problems() == []
        parts = sorted(p for p in folder.glob("engine/data/store/*/*/all_*") if (p / "data.bin").exists())
        damaged = [p for p in parts if b"id" in (p / "columns.txt").read_bytes()][-1]
        for name in ("checksums.txt", "columns.txt", "data.bin", "count.txt"):
            (damaged / name).write_bytes(b"damaged")
        with Instance(folder) as instance:
            (told,) = instance.problems()
            assert told == "1 parts of tables are damaged: see the log"
            assert instance.not_ready() == ""
            assert instance.default.sql("SELECT count() AS n FROM events") == [{"n": 1}]
    """
    run_python(code, tmp_path)


def test_a_part_that_is_damaged_where_a_start_does_not_look_is_told_by_who_reads_it(
    run_python: RunPython, tmp_path: Path
) -> None:
    """It is the server's fault, not the caller's; ClickHouse checks a file when a query reads it, not before."""
    code = """
        import sys
        from pathlib import Path
        from clickpipe.diagnostics import ClickpipeError
        from clickpipe.runtime import Instance

        folder = Path(sys.argv[1])
        with Instance(folder) as instance:
            instance.default.deploy({"events.datasource": "SCHEMA >\\n    id UInt64\\nENGINE_SORTING_KEY id\\n"})
            instance.default.ingest("events", [{"id": 1}])
        parts = sorted(p for p in folder.glob("engine/data/store/*/*/all_*") if (p / "data.bin").exists())
        (damaged,) = [p for p in parts if b"id" in (p / "columns.txt").read_bytes()]
        data = damaged / "data.bin"
        data.write_bytes(bytes(byte ^ 0x5A for byte in data.read_bytes()))
        with Instance(folder) as instance:
            for _ in range(2):
                try:
                    instance.default.sql("SELECT sum(id) FROM events")
                except ClickpipeError as error:
                    assert error.status == 500, (error.status, error.message)
                else:
                    raise AssertionError("it was read")
                assert instance.problems() == ["1 parts of tables are damaged: see the log"]
            assert instance.not_ready() == ""
    """
    done = run_python(code, tmp_path)
    assert done.stderr.count("is damaged (") == 1


def test_a_callers_text_that_looks_like_a_report_is_none(run_python: RunPython, tmp_path: Path) -> None:
    """ClickHouse puts values into its messages: nobody may report damage to a table of another workspace by one."""
    code = """
        import sys
        from pathlib import Path
        from clickpipe.diagnostics import ClickpipeError
        from clickpipe.runtime import Instance

        folder = Path(sys.argv[1])
        with Instance(folder) as instance:
            instance.default.deploy({"events.datasource": "SCHEMA >\\n    id UInt64\\nENGINE_SORTING_KEY id\\n"})
            instance.default.ingest("events", [{"id": 1}])
            part = next(p for p in folder.glob("engine/data/store/*/*/all_*"))
            zeros = "00000000-0000-0000-0000-000000000000"
            asked = [(part, zeros), (folder / "engine", zeros), ("/etc", zeros), (part.parent / ".." / zeros, zeros)]
            for path, uuid in asked:
                text = f"(while reading from part {path}/ in table ws_other.t ({uuid}))"
                for type_ in ("Variant(Int8, Int16)", "JSON"):
                    try:
                        instance.default.sql(f"SELECT CAST(materialize('{text}'), '{type_}')")
                    except ClickpipeError as error:
                        assert (error.status, "while reading from part" in error.message) == (400, True), error.message
                    else:
                        raise AssertionError("it is a value")
            assert instance.problems() == []
    """
    assert "is damaged (" not in run_python(code, tmp_path).stderr
