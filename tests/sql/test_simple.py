"""Tables read from tokens are those that the parser finds."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, strategies as st
from sqlglot import errors, parse_one

from clickpipe.sql.references import TableReference, _parsed_references
from clickpipe.sql.simple import simple_tables

PLAIN = [
    "SELECT a FROM t",
    "SELECT t.a, count() AS n FROM t WHERE x IN (1, 2) GROUP BY a ORDER BY n DESC LIMIT {n:Int32} -- the end",
    "SELECT * FROM t AS x LEFT JOIN u AS y ON x.a = y.a /* why */ INNER JOIN v USING (b)",
    "SELECT * FROM (SELECT a FROM t WHERE k IN (SELECT k FROM u)) AS z WHERE b = 'FROM nowhere'",
    "SELECT 1 AS one FROM t UNION ALL SELECT 2 FROM u",
    "SELECT a FROM t WHERE x IN {xs:Array(String)} PREWHERE y = 1",
]
LEFT_TO_THE_PARSER = [
    "WITH c AS (SELECT 1) SELECT * FROM c",
    "SELECT a FROM numbers(10)",
    "SELECT a FROM db.t",
    "SELECT a FROM t, u",
    "SELECT a FROM t x",
    "SELECT a FROM t FINAL",
    "SELECT a FROM t ARRAY JOIN b AS c",
    "SELECT a FROM t WHERE x IN u",
    "SELECT EXTRACT(YEAR FROM d) FROM t",
    "SELECT a FROM `t`",
]
WORDS = (
    "SELECT FROM JOIN t u a.b x AS WHERE ( ) , IN (1,2) = ON GROUP BY ORDER LIMIT 5 count() f(x) 'lit' UNION ALL LEFT "
    "kind AND NOT CASE WHEN THEN END {a:String} DISTINCT - 1 * USING (k) date INTERVAL DAY [1] HAVING /*c*/"
)
ENDS = [
    " FROM t",
    " FROM t AS a",
    " FROM t WHERE x IN (SELECT y FROM u)",
    " FROM (SELECT 1 FROM v) AS z JOIN w ON a = b",
]


def by_tokens(sql: str) -> list[TableReference] | None:
    found = simple_tables(sql)
    return None if found is None else [TableReference(t.name, "", t.start, t.end, t.alias) for t in found]


@pytest.mark.parametrize("sql", PLAIN)
def test_a_plain_select_is_read_from_tokens(sql: str) -> None:
    assert by_tokens(sql) == list(_parsed_references(sql))


@pytest.mark.parametrize("sql", LEFT_TO_THE_PARSER)
def test_what_could_mean_something_else_is_left_to_the_parser(sql: str) -> None:
    assert simple_tables(sql) is None


@given(st.lists(st.sampled_from(WORDS.split()), min_size=1, max_size=7).map(" ".join), st.sampled_from(ENDS))
def test_what_is_read_is_what_the_parser_finds(middle: str, end: str) -> None:
    sql = f"SELECT {middle}{end}"
    found = by_tokens(sql)
    assume(found is not None)
    assume(not set(middle.split()) & {"GROUP", "ORDER", "CASE", "HAVING", "WHERE", "BY"})  # no statement without more
    try:
        parse_one(sql, dialect="clickhouse")
    except errors.SqlglotError:
        return
    assert found == list(_parsed_references(sql))
