"""A full disk: ClickHouse says that it made a table, and writes an empty definition. That is kept from happening."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from clickpipe.engine import EngineError, space
from clickpipe.engine.space import keep_definition, mend_definitions, require_space
from tests.conftest import RunPython


@pytest.mark.parametrize(
    ("sql", "free", "refused"),
    [
        ("CREATE TABLE a.b (c Int8) ENGINE = Memory", 0, True),
        ("\n create materialized view v AS SELECT 1", 8 << 20, False),
        ("ALTER TABLE a.b ADD COLUMN c Int8", (8 << 20) - 1, True),
        ("CREATE TABLE IF NOT EXISTS a.b (c Int8)", 1 << 20, False),
        ("CREATE MATERIALIZED VIEW IF NOT EXISTS v AS SELECT 1", 1 << 20, False),
        ("CREATE DATABASE IF NOT EXISTS a", 1 << 10, True),
        ("DROP TABLE a.b", 0, False),
        ("SELECT 'CREATE TABLE'", 0, False),
        ("INSERT INTO a.b SELECT 1", 0, False),
    ],
)
def test_definitions_need_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sql: str, free: int, *, refused: bool
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=free, f_frsize=1))
    require_space(None, sql)
    if not refused:
        require_space(tmp_path, sql)
        return
    with pytest.raises(EngineError, match="not enough space") as error:
        require_space(tmp_path, sql)
    assert error.value.name == "NOT_ENOUGH_SPACE"


def test_empty_definitions_are_mended_and_the_rest_answers(run_python: RunPython, tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from clickpipe.runtime import Instance

        folder = Path(sys.argv[1])
        with Instance(folder) as instance:
            workspace = instance.default
            workspace.deploy({"events.datasource": "SCHEMA >\\n    id UInt64\\nENGINE_SORTING_KEY id\\n"})
            workspace.ingest("events", [{"id": 1}])
            instance.engine.execute(f"CREATE DATABASE {workspace.database}_beside ENGINE = Atomic")
            instance.engine.execute(
                f"CREATE TABLE {workspace.database}_beside.empty (id Int8) ENGINE = MergeTree ORDER BY id"
            )
        metadata = folder / "engine" / "data" / "metadata"
        (beside,) = [path for path in metadata.glob("*_beside.sql")]
        beside.write_text("")
        (beside.with_suffix("") / "empty.sql").write_text("")
        (metadata / "clickpipe_staged.sql").write_text("")
        (metadata / f"{workspace.database}.sql").write_text("")
        with Instance(folder) as instance:
            assert instance.default.sql("SELECT count() AS n FROM events") == [{"n": 1}]
            instance.default.ingest("events", [{"id": 2}])
            assert instance.default.sql("SELECT count() AS n FROM events") == [{"n": 2}]
            found = instance.engine.execute(f"EXISTS TABLE {workspace.database}_beside.empty", output="TSV").body
            assert found == b"0\\n"
    """
    run_python(code, tmp_path)


def test_an_empty_definition_of_a_table_with_rows_is_left_and_told(tmp_path: Path) -> None:
    (tmp_path / "metadata" / "ws").mkdir(parents=True)
    (tmp_path / "metadata" / "ws.sql").write_text("ATTACH DATABASE ws")
    definition = tmp_path / "metadata" / "ws" / "events.sql"
    definition.write_text("")
    part = tmp_path / "data" / "ws" / "events" / "all_1_1_0"
    part.mkdir(parents=True)
    (part / "count.txt").write_text("7")
    with pytest.raises(EngineError, match=r"The definition of the table ws.events is empty.*Restore .*events.sql"):
        mend_definitions(tmp_path)
    assert definition.exists()
    assert space.mend_definitions(tmp_path / "no") == 0


@pytest.mark.parametrize(
    ("sql", "undone"),
    [
        ("CREATE TABLE `ws`.`events` (id Int8)", "DROP TABLE IF EXISTS `ws`.`events`"),
        ("CREATE TABLE IF NOT EXISTS ws.events (id Int8)", "DROP TABLE IF EXISTS ws.events"),
        ("CREATE MATERIALIZED VIEW ws.events TO a AS SELECT 1", "DROP TABLE IF EXISTS ws.events"),
        ("CREATE DATABASE IF NOT EXISTS ws", "DROP DATABASE IF EXISTS ws"),
        ("ALTER TABLE ws.events ADD COLUMN a Int8", None),
    ],
)
def test_what_was_made_without_a_definition_is_dropped(tmp_path: Path, sql: str, undone: str | None) -> None:
    files = [tmp_path / "data" / "metadata" / "ws" / "events.sql", tmp_path / "data" / "metadata" / "ws.sql"]
    files[0].parent.mkdir(parents=True)
    ran: list[str] = []
    for text, lost in (("ATTACH TABLE", False), ("", True)):
        for file in files:
            file.write_text(text)
        if not lost:
            keep_definition(tmp_path, sql, ran.append)
            continue
        with pytest.raises(EngineError, match=r"the definition of .* was not written"):
            keep_definition(tmp_path, sql, ran.append)
    assert ran == [undone] * (undone is not None)
