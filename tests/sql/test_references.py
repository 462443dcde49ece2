"""The tables a SELECT names, and what splicing leaves alone."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from clickpipe.sql import main_table, quote_identifier, references, splice


def named(sql: str) -> list[str]:
    """Show the references of `sql` by the text at their offsets."""
    for r in references(sql):
        assert sql[r.start : r.end].replace("`", "").replace('"', "").endswith(r.name)
    return [
        sql[r.start : r.end] + (f" as {r.alias}" if r.alias else "") + (" in" if r.in_operator else "")
        for r in references(sql)
    ]


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT 1", []),
        ("SELECT a FROM t", ["t"]),
        ("select a from `t` x", ["`t` as x"]),
        ('SELECT a FROM "t" AS x', ['"t" as x']),
        ("SELECT a FROM d.t", ["d.t"]),
        ("SELECT a FROM `d` . `t` AS x", ["`d` . `t` as x"]),
        ("SELECT a FROM t FINAL WHERE b = 't'", ["t"]),
        ("SELECT t.a FROM t -- FROM u\n /* JOIN v */", ["t"]),
        ("SELECT 'é😀' FROM t", ["t"]),
        ("SELECT a FROM t, u", ["t", "u"]),
        ("SELECT a FROM t ANY LEFT JOIN u AS y USING (a) CROSS JOIN w", ["t", "u as y", "w"]),
        ("SELECT a FROM t UNION ALL SELECT a FROM u", ["t", "u"]),
        ("SELECT (SELECT max(a) FROM u) FROM (SELECT a FROM (SELECT a FROM t))", ["u", "t"]),
        ("SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u)", ["t", "u"]),
        ("SELECT a FROM t ARRAY JOIN b AS c", ["t"]),
        ("SELECT a FROM numbers(10)", []),
        ("SELECT EXTRACT(YEAR FROM day) FROM t", ["t"]),
        # names that a WITH defines
        ("WITH c AS (SELECT a FROM t) SELECT a FROM c", ["t"]),
        ("WITH c AS (SELECT a FROM t), e AS (SELECT a FROM c) SELECT a FROM e JOIN u ON 1", ["t", "u"]),
        ("WITH t AS (SELECT a FROM t) SELECT a FROM t", ["t"]),
        ("WITH c AS (SELECT 1) SELECT a FROM d.c", ["d.c"]),
        ("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT n FROM r", []),
        ("WITH 1 AS t SELECT a FROM t", ["t"]),
        ("SELECT a FROM (WITH c AS (SELECT 1) SELECT a FROM c) JOIN c ON 1", ["c"]),
        # the right side of IN
        ("SELECT a FROM t WHERE a IN u", ["t", "u in"]),
        ("SELECT a FROM t WHERE a NOT IN d.u", ["t", "d.u in"]),
        ("SELECT a FROM t WHERE a IN (SELECT b FROM u)", ["t", "u"]),
        ("WITH c AS (SELECT 1) SELECT a FROM t WHERE a IN c", ["t"]),
        ("SELECT a FROM t WHERE a IN (1, 2)", ["t"]),
        # what the parser cannot read is scanned
        ("SELECT a FROM t WHERE ((", ["t"]),
        ("SELECT map(1) FROM t", ["t"]),  # sqlglot: IndexError
        ("SELECT ((( FROM t JOIN `u` IN v -- FROM w", ["t", "`u`", "v in"]),
        ("SELECT (( FROM numbers(1) FROM d.t 'FROM x' /* FROM y */", []),
    ],
)
def test_the_tables_that_are_read(sql: str, names: list[str]) -> None:
    assert named(sql) == names


@pytest.mark.parametrize(
    ("sql", "spliced"),
    [
        ("SELECT t.a FROM t", "SELECT t.a FROM <t> AS `t`"),
        ("SELECT x.a FROM t AS x", "SELECT x.a FROM <t> AS x"),
        ("SELECT  a\nFROM `t`\n-- t\nWHERE a IN u", "SELECT  a\nFROM <t> AS `t`\n-- t\nWHERE a IN <u>"),
        ("SELECT 'é😀t', a FROM t,u /* t */", "SELECT 'é😀t', a FROM <t> AS `t`,<u> AS `u` /* t */"),
        ("SELECT a FROM d.t", "SELECT a FROM d.t"),
        ("SELECT a FROM t WHERE ((", "SELECT a FROM <t> AS `t` WHERE (("),
    ],
)
def test_splicing_changes_names_only_and_keeps_them_as_aliases(sql: str, spliced: str) -> None:
    assert splice(sql, lambda r: None if r.database else f"<{r.name}>") == spliced


PARTS = st.sampled_from(
    "SELECT FROM JOIN IN WITH AS ( ) , t u `t` d.t 'FROM t' -- \n /* */ ; UNION ALL a = é 😀 \\ ' \" $$".split(" ")  # noqa: SIM905 - reads better
)


@given(st.lists(PARTS, max_size=15).map(" ".join))
def test_any_text_is_read_and_kept_when_nothing_is_replaced(sql: str) -> None:
    found = references(sql)
    assert splice(sql, lambda _: None) == sql
    assert all(0 <= r.start < r.end <= len(sql) for r in found)
    assert all(a.end <= b.start for a, b in pairwise(found))


@pytest.mark.parametrize(
    ("sql", "table"),
    [
        ("SELECT a FROM t JOIN u ON 1", "t"),
        ("SELECT a FROM (SELECT a FROM (SELECT a FROM t)) JOIN u ON 1", "t"),
        ("WITH c AS (SELECT a FROM t) SELECT a FROM c JOIN u ON 1", "t"),
        ("SELECT a FROM t UNION ALL SELECT a FROM u", "t"),
        ("SELECT (SELECT 1 FROM u), a FROM t", "t"),
        ("SELECT a FROM t WHERE ((", "t"),
        ("WITH t AS (SELECT a FROM t) SELECT a FROM t", "t"),
        ("SELECT 1", None),
        ("SELECT a FROM numbers(1)", None),
    ],
)
def test_the_left_most_table_is_the_one_a_view_follows(sql: str, table: str | None) -> None:
    found = main_table(sql)
    assert (found.name if found else None) == table


@pytest.mark.parametrize(("name", "quoted"), [("a", "`a`"), ("a`b", "`a\\`b`"), ("a\\b", "`a\\\\b`"), ("a b", "`a b`")])
def test_a_name_is_quoted_for_clickhouse(name: str, quoted: str) -> None:
    assert quote_identifier(name) == quoted
