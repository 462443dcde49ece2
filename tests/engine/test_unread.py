"""SQL that ClickHouse's parser does not read, and what is said of it."""

from __future__ import annotations

import pytest

from clickpipe.engine import Engine, EngineError
from clickpipe.sql import OTHER

_UUID = "c8fa09a6-0b44-4e54-93fa-94bcacd893b1"
_DEEP = {
    "brackets": ("SELECT ", "(", "1", ")", 150),
    "functions": ("SELECT ", "abs(", "1", ")", 400),
    "sums": ("SELECT ", "1+", "1", "", 400),
    "minus": ("SELECT ", "- ", "1", "", 400),
    "NOT": ("SELECT ", "NOT ", "1", "", 400),
    "arrays": ("SELECT ", "[", "1", "]", 900),
    "CASE": ("SELECT ", "CASE WHEN 1 THEN ", "1", " END", 300),
    "casts": ("SELECT 1", "", "", "::Int8", 400),
    "sub-queries": ("SELECT * FROM ", "(SELECT * FROM ", "numbers(1)", ")", 75),
    "scalar sub-queries": ("SELECT ", "(SELECT ", "1", ")", 75),
    "WITH": ("", "WITH a AS (", "SELECT 1", ") SELECT 1", 75),
}


@pytest.mark.parametrize("kind", _DEEP)
def test_what_is_nested_too_deeply_is_said_to_be(engine: Engine, kind: str) -> None:
    """What the message says of how much is too much holds: that many are read."""
    head, opening, inner, closing, fine = _DEEP[kind]
    assert engine.syntax_tree(f"{head}{opening * fine}{inner}{closing * fine}") != OTHER
    for many in (1_100, 5_000):
        sql = f"{head}{opening * many}{inner}{closing * many}"
        for refusal in (_refusal(engine, sql), engine.syntax_trees(["SELECT 1", sql])[1]):
            assert isinstance(refusal, EngineError)
            assert refusal.message.startswith("The SQL is nested too deeply: ClickHouse's parser goes 1,000 levels")
            assert refusal.name in {"TOO_DEEP_AST", "TOO_DEEP_RECURSION"}


def _refusal(engine: Engine, sql: str) -> EngineError:
    with pytest.raises(EngineError) as raised:
        engine.syntax_tree(sql)
    return raised.value


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT * FROM a UUID '{_UUID}'",
        f"SELECT * FROM d.a UUID '{_UUID}' AS b",
        f"WITH a AS (SELECT 1) SELECT * FROM a UUID '{_UUID}'",
        f"SELECT 1 FROM numbers(1) CROSS JOIN d.a UUID '{_UUID}'",
        f"SELECT (SELECT count() FROM a UUID '{_UUID}')",
    ],
)
def test_a_table_is_not_named_by_its_uuid(engine: Engine, sql: str) -> None:
    """The name before it would be another's: no tree tells of the UUID, which ClickHouse goes by."""
    assert _refusal(engine, sql).message == "A nested table reference with a UUID is not allowed"


@pytest.mark.parametrize(
    "sql",
    [
        *("INSERT INTO x VALUES (1)", "DESCRIBE x", "GRANT a TO b", "SELECT 1 PARALLEL WITH SELECT 2"),
        *("EXECUTE AS x SELECT 1", "DESCRIBE (SELECT 'Maximum parse depth (1000) exceeded')"),
    ],
)
def test_what_is_no_select_has_no_tree(engine: Engine, sql: str) -> None:
    assert engine.syntax_tree(sql) == OTHER


@pytest.mark.parametrize("sql", ["SELECT", "SELECT 1;SELECT 2", "", "SELECT 'parseQueryToJSON' x y", "TOO_DEEP_AST"])
def test_what_cannot_be_read_is_a_syntax_error(engine: Engine, sql: str) -> None:
    refusal = _refusal(engine, sql)
    assert (refusal.name, "In scope" in refusal.message) == ("SYNTAX_ERROR", False)


def test_what_is_nested_too_deeply_is_told_where_it_runs_too(engine: Engine) -> None:
    for sql in (f"SELECT {'(' * 300}1{')' * 300}", f"DESCRIBE (SELECT {'abs(' * 600}1{')' * 600})"):
        with pytest.raises(EngineError, match=r"^The SQL is nested too deeply"):
            engine.execute(sql)
    assert EngineError("Code: 1. DB::Exception: 'AST is too deep. Maximum: 1000'. (X)").message[0] == "'"
