"""Errors of ClickHouse suggest names of columns and functions, never of tables: they may be somebody else's."""

from __future__ import annotations

import re

import pytest

from clickpipe.engine import Engine, EngineError


@pytest.mark.parametrize(
    "sql",
    [
        *(
            "SELECT * FROM {f}",
            "SELECT 1 IN {f}",
            "SELECT in('root', {f})",
            "SELECT 1 FROM numbers(1) WHERE 1 IN ({f})",
        ),
        *("SELECT 1 GLOBAL NOT IN {f}", "SELECT joinGet({f}, 'a', 1)", "SELECT * FROM numbers(1) CROSS JOIN {f}"),
        *("DESCRIBE {f}", "CREATE TABLE {d}.t (a UInt8 DEFAULT 1 IN {f}) ENGINE = Memory", "EXPLAIN SELECT * FROM {f}"),
    ],
)
@pytest.mark.parametrize(
    "file", ["/etc/passwd", "passwd.csv", "../x.parquet", "http://127.0.0.1:1/a.csv", "secret_0123456789a"]
)
def test_a_name_without_a_database_is_no_file_and_tells_of_no_table(
    engine: Engine, database: str, sql: str, file: str
) -> None:
    """chdb's own database takes names for files of the host, and ClickHouse suggests tables of every database."""
    engine.execute(f"CREATE TABLE {database}.secret_0123456789ab (a UInt8) ENGINE = Memory")
    with pytest.raises(EngineError) as caught:
        engine.execute(sql.format(f=f"`{file}`", d=database))
    assert caught.value.name in {"UNKNOWN_TABLE", "UNKNOWN_IDENTIFIER", "ILLEGAL_TYPE_OF_ARGUMENT"}
    assert not {"Maybe", "privileges", "clickpipe_nothing"} & set(re.findall(r"\w+", caught.value.message))
    assert "secret_0123456789ab" not in caught.value.message


@pytest.mark.parametrize(
    "sql",
    [
        *("SELECT * FROM {d}x.t", "SELECT * FROM {d}.secret_0123456789a", "DESCRIBE {d}.secret_0123456789a"),
        *("SELECT joinGet('{d}.secret_0123456789a', 'a', 1)", "SELECT joinGet('{d}x.t', 'a', 1)"),
        *("INSERT INTO {d}.secret_0123456789a VALUES (1)", "DROP TABLE {d}x.secret_0123456789ab"),
        *("ALTER TABLE {d}.secret_0123456789a DELETE WHERE 1", "SELECT 1 IN {d}.secret_0123456789a"),
    ],
)
def test_no_error_suggests_tables(engine: Engine, database: str, sql: str) -> None:
    engine.execute(f"CREATE TABLE {database}.secret_0123456789ab (a UInt8) ENGINE = Memory")
    with pytest.raises(EngineError) as caught:
        engine.execute(sql.format(d=database))
    assert "Maybe you meant" not in caught.value.message
    assert sql[-2:] == "ab" or "secret_0123456789ab" not in caught.value.message


def test_an_error_suggests_columns_and_functions(engine: Engine) -> None:
    for sql, meant in (("SELECT numbr FROM numbers(1)", "'number'"), ("SELECT lowr('a')", "'lower'")):
        with pytest.raises(EngineError, match=rf"Maybe you meant: \[.*{meant}"):
            engine.execute(sql)
