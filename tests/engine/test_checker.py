"""The compiler's questions on a scratch database."""

from __future__ import annotations

import json

import pytest

from clickpipe.compiler import CheckFailure, ResultColumn
from clickpipe.engine import Engine, scratch


def databases(engine: Engine) -> list[str]:
    body = engine.execute("SELECT name FROM system.databases ORDER BY name", output="JSONCompactColumns").body
    (names,) = json.loads(body)
    return [name for name in names if name.startswith("check_")]


def create_and_fail(engine: Engine, before: int) -> None:
    with scratch(engine) as checker:
        assert len(databases(engine)) == before + 1
        assert checker.create(f"CREATE TABLE {checker.table('t')} (a Int8) ENGINE = MergeTree ORDER BY a") is None
        raise KeyError


def test_nothing_is_left_of_a_scratch_database(engine: Engine) -> None:
    before = databases(engine)
    with pytest.raises(KeyError):
        create_and_fail(engine, len(before))
    assert databases(engine) == before


def test_two_scratch_databases_are_apart(engine: Engine) -> None:
    with scratch(engine) as one, scratch(engine) as two:
        assert one.table("t") != two.table("t")
        assert one.create(f"CREATE TABLE {one.table('t')} (a Int8) ENGINE = Memory") is None
        assert isinstance(two.describe(f"SELECT a FROM {two.table('t')}", {}), CheckFailure)


def test_a_select_is_described_on_empty_tables(engine: Engine) -> None:
    with scratch(engine) as checker:
        checker.create(f"CREATE TABLE {checker.table('a`b')} (a Int8) ENGINE = Memory")
        sql = f"SELECT a + {{n:Int32}} AS n FROM {checker.table('a`b')} -- the end"
        assert checker.describe(sql, {"n": 1}) == [ResultColumn("n", "Int64")]


@pytest.mark.parametrize(
    ("ask", "name", "message"),
    [
        (lambda c: c.describe(f"SELECT b FROM {c.table('t')}", {}), "UNKNOWN_IDENTIFIER", "`b`"),
        (lambda c: c.describe(f"SELECT 1 FROM {c.table('missing')}", {}), "UNKNOWN_TABLE", "missing"),
        (lambda c: c.create(f"CREATE TABLE {c.table('u')} (a Strin) ENGINE = Memory"), "UNKNOWN_TYPE", "Strin"),
        (lambda c: c.create(f"CREATE TABLE {c.table('t')} (a Int8) ENGINE = Memory"), "TABLE_ALREADY_EXISTS", "t"),
    ],
)
def test_a_refusal_speaks_of_the_authors_names(engine: Engine, ask: object, name: str, message: str) -> None:
    with scratch(engine) as checker:
        checker.create(f"CREATE TABLE {checker.table('t')} (a Int8) ENGINE = Memory")
        failure = ask(checker)  # type: ignore[operator]
    assert isinstance(failure, CheckFailure)
    assert failure.name == name
    assert message in failure.message
    assert "_to_check" not in failure.message
    assert "check_" not in failure.message


def test_a_syntax_error_has_its_offset(engine: Engine) -> None:
    with scratch(engine) as checker:
        assert isinstance(checker.syntax("SELECT 1"), str)
        failure = checker.syntax("SELECT 1 FROM (")
    assert isinstance(failure, CheckFailure)
    assert failure.offset == len("SELECT 1 FROM (")
