"""A guess at where a statement names tables is the truth or nothing for plain statements, and harmless otherwise."""

from __future__ import annotations

import pytest

from clickpipe.sql import likely
from tests.sql.conftest import Read

PLAIN = [
    "SELECT a FROM t",
    "SELECT count() FROM t WHERE id = 't' AND a IN (1, 2) FORMAT JSON",
    "select a from `t` limit 3",
    'SELECT a FROM "t"\nORDER BY a;',
    "SELECT x.a FROM t AS x JOIN u AS y ON x.id = y.id",
    "SELECT a FROM (SELECT a FROM t) JOIN u USING (a)",
    "SELECT a FROM t UNION ALL SELECT a FROM u",
    "WITH c AS (SELECT a FROM t) SELECT a FROM c GROUP BY a",
    "SELECT a FROM numbers(3), t WHERE 1 -- FROM u\n",
    "SELECT a, (SELECT max(a) FROM u) AS m FROM t HAVING m > 1",
]
HARD = ["SELECT a FROM t x", "SELECT a FROM t FINAL", "SELECT 1", "SELECT a FROM d.t", "SELECT a FROM t" + " " * 10_000]


@pytest.mark.parametrize("sql", PLAIN[:8] + PLAIN[9:])
def test_the_tables_of_plain_statements(sql: str, read: Read) -> None:
    guessed = likely(sql, {"t", "u"}.__contains__)
    assert guessed is not None
    names = [(table.name, table.alias, sql[table.start : table.end]) for table in guessed.tables]
    known = sorted(read(sql.rstrip(";")).tables, key=lambda table: table.start)
    assert names == [(table.name, table.alias, sql[table.start : table.end]) for table in known]


@pytest.mark.parametrize("sql", [*HARD, PLAIN[8]])
def test_no_guess(sql: str) -> None:
    assert likely(sql, {"t", "u"}.__contains__) is None


def test_two_tables_of_one_name_do_not_both_keep_it(read: Read) -> None:
    sql = "SELECT a FROM t JOIN t USING (a)"
    guessed = likely(sql, {"t"}.__contains__)
    assert guessed is not None
    assert [table.keeps_name for table in guessed.tables] == [True, False]
    assert [table.keeps_name for table in sorted(read(sql).tables, key=lambda t: t.start)] == [True, False]
