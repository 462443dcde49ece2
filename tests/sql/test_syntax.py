"""The tables a SELECT names, by ClickHouse's own reading, and what splicing leaves alone."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from clickpipe.engine import EngineError
from clickpipe.sql import Reader, Syntax, quote_identifier, splice, table_name
from tests.sql.conftest import Read


def named(syntax: Syntax) -> list[str]:
    """Show the tables of a statement by the text at their offsets."""
    ordered = sorted(syntax.tables, key=lambda table: table.start)
    shown = [syntax.text[t.start : t.end] for t in ordered]
    return [
        text + (f" as {t.alias}" if t.alias else "") + (" in" if t.in_operator else "")
        for text, t in zip(shown, ordered, strict=True)
    ]


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT 1", []),
        ("SELECT a FROM t", ["t"]),
        ("select a from `t` x", ["`t` as x"]),
        ('SELECT a FROM "t" AS x', ['"t" as x']),
        ("SELECT a FROM “t” AS x", ["“t” as x"]),
        ("SELECT a FROM d.t", ["d.t"]),
        ("SELECT a FROM `d` . `t` AS x", ["`d` . `t` as x"]),
        ("SELECT a FROM t FINAL WHERE b = 't'", ["t"]),
        ("SELECT t.a FROM t -- FROM u\n /* JOIN v */", ["t"]),
        ("SELECT 'é😀' FROM t", ["t"]),
        ("SELECT a FROM t, u", ["t", "u"]),
        ("SELECT a FROM t ANY LEFT JOIN u AS y USING (a) CROSS JOIN w", ["t", "u as y", "w"]),
        ("SELECT a FROM t UNION ALL SELECT a FROM u", ["t", "u"]),
        ("SELECT a FROM t INTERSECT SELECT a FROM u", ["t", "u"]),
        ("SELECT (SELECT max(a) FROM u) FROM (SELECT a FROM (SELECT a FROM t))", ["u", "t"]),
        ("SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u)", ["t", "u"]),
        ("SELECT a FROM t ARRAY JOIN b AS c", ["t"]),
        ("SELECT a FROM numbers(10)", []),
        ("SELECT a FROM view(SELECT a FROM t)", ["t"]),
        ("SELECT EXTRACT(YEAR FROM day) FROM day", ["day"]),
        ("SELECT INTERVAL 1 day FROM day", ["day"]),
        # names that a WITH defines
        ("WITH c AS (SELECT a FROM t) SELECT a FROM c", ["t"]),
        ("WITH c AS (SELECT a FROM t), e AS (SELECT a FROM c) SELECT a FROM e JOIN u ON 1", ["t", "u"]),
        ("WITH c AS (SELECT a FROM e), e AS (SELECT 1 AS a) SELECT a FROM c", []),
        ("WITH t AS (SELECT a FROM t) SELECT a FROM t", ["t"]),
        ("WITH c AS (SELECT 1) SELECT a FROM d.c", ["d.c"]),
        ("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT n FROM r", []),
        ("WITH 1 AS t SELECT a FROM t", ["t"]),
        ("SELECT a FROM (WITH c AS (SELECT 1) SELECT a FROM c) JOIN c ON 1", ["c"]),
        ("WITH c AS (SELECT 1) SELECT * FROM c UNION ALL SELECT * FROM c", []),
        ("SELECT 1 UNION ALL (WITH c AS (SELECT 1) SELECT * FROM c) UNION ALL SELECT * FROM c", ["c"]),
        # the right side of IN: a table, unless a CTE or an alias of any SELECT around has the name
        ("SELECT a FROM t WHERE a IN u", ["t", "u in"]),
        ("SELECT a FROM t WHERE a NOT IN d.u", ["t", "d.u in"]),
        ("SELECT a FROM t WHERE a GLOBAL NOT IN u", ["t", "u in"]),
        ("SELECT a FROM t WHERE in(a, u)", ["t", "u in"]),
        ("SELECT a FROM t WHERE a IN (SELECT b FROM u)", ["t", "u"]),
        ("WITH c AS (SELECT 1) SELECT a FROM t WHERE a IN c", ["t"]),
        ("WITH [1] AS c SELECT a FROM t WHERE a IN c", ["t"]),
        ("WITH [1] AS c, e AS (SELECT a FROM t WHERE a IN c) SELECT a FROM e", ["t"]),
        ("SELECT [1] AS c, (SELECT count() FROM t WHERE a IN c)", ["t"]),
        ("SELECT a FROM (SELECT a FROM t WHERE a IN (SELECT b FROM u WHERE b IN c)) WHERE [1] AS c", ["t", "u"]),
        ("SELECT a FROM t WHERE a IN (1, 2)", ["t"]),
        # the table of joinGet
        ("SELECT joinGet('p', 'price', sku) FROM t", ["'p'", "t"]),
        ("SELECT joinGetOrNull(p, 'p', p.p) FROM p", ["p", "p"]),
        # comments, texts and names that look like others
        ("SELECT $h$ FROM u $h$, 'it''s FROM u', '\\' FROM u' FROM t # FROM v", ["t"]),
        ("SELECT /* FROM u /* FROM v */ FROM w */ a FROM t", ["t"]),
        ("SELECT ‘FROM u’ FROM t", ["t"]),
        ("SELECT t, `t`, t.t, t.*, t AS t FROM t WHERE t IN ('t')", ["t"]),
        # functions and matchers that other parsers fail on
        ("SELECT if(0, map(1), map()) FROM t", ["t"]),
        ("SELECT COLUMNS('a') EXCEPT a FROM t", ["t"]),
    ],
)
def test_the_tables_that_are_read(sql: str, names: list[str], read: Read) -> None:
    assert named(read(sql)) == names


@pytest.mark.parametrize("sql", ["SELECT a FROM t WHERE ((", "SELECT 'a", "", "SELECT 1; SELECT 2"])
def test_what_clickhouse_cannot_read_is_its_error(sql: str, reader: Reader[EngineError]) -> None:
    assert isinstance(reader.read(sql), EngineError)


@pytest.mark.parametrize(
    ("sql", "spliced"),
    [
        ("SELECT t.a FROM t", "SELECT t.a FROM <t> AS `t`"),
        ("SELECT x.a FROM t AS x", "SELECT x.a FROM <t> AS x"),
        ("SELECT  a\nFROM `t`\n-- t\nWHERE a IN u", "SELECT  a\nFROM <t> AS `t`\n-- t\nWHERE a IN <u>"),
        ("SELECT 'é😀t', a FROM t,u /* t */", "SELECT 'é😀t', a FROM <t> AS `t`,<u> AS `u` /* t */"),
        ("SELECT a FROM d.t", "SELECT a FROM d.t"),
        # a table's own name goes on meaning it where it has an alias
        (
            "SELECT t.a, t.* FROM u JOIN t x ON t.a = u.a",
            "SELECT `x`.a, `x`.* FROM <u> AS `u` JOIN <t> x ON `x`.a = u.a",
        ),
        ("SELECT t.a FROM t x, t", "SELECT t.a FROM <t> x, <t> AS `t`"),
        (
            "SELECT a FROM t x WHERE a IN (SELECT t.a FROM u)",
            "SELECT a FROM <t> x WHERE a IN (SELECT `x`.a FROM <u> AS `u`)",
        ),
        (
            "SELECT a FROM t x WHERE a IN (SELECT t.a FROM t)",
            "SELECT a FROM <t> x WHERE a IN (SELECT t.a FROM <t> AS `t`)",
        ),
        ("SELECT t FROM t x", "SELECT t FROM <t> x"),
    ],
)
def test_splicing_changes_names_only_and_keeps_what_they_mean(sql: str, spliced: str, read: Read) -> None:
    syntax = read(sql)
    assert splice(syntax, lambda table: None if table.database else f"<{table.name}>") == spliced


PARTS = st.sampled_from(
    "SELECT FROM JOIN IN WITH AS ( ) , t u `t` d.t 'FROM t' -- \n /* */ ; UNION ALL a = é 😀 \\ ' \" $$ t. # “t”".split(" ")  # noqa: SIM905 - reads better
)  # fmt: skip


@given(sql=st.lists(PARTS, max_size=15).map(lambda parts: " ".join(["SELECT a FROM t", *parts])))
def test_any_text_is_read_or_refused_and_kept_when_nothing_is_replaced(sql: str, reader: Reader[EngineError]) -> None:
    syntax = reader.read(sql)
    if isinstance(syntax, EngineError):
        return
    assert not syntax.unplaced
    found = sorted(syntax.tables, key=lambda table: table.start)
    assert splice(syntax, lambda _: None) == sql
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
        ("WITH t AS (SELECT a FROM t) SELECT a FROM t", "t"),
        ("SELECT 1", None),
        ("SELECT a FROM numbers(1)", None),
        ("SELECT a FROM numbers(1) JOIN t ON 1", None),
    ],
)
def test_the_left_most_table_is_the_one_a_view_follows(sql: str, table: str | None, read: Read) -> None:
    found = read(sql).main
    assert (found.name if found else None) == table


@pytest.mark.parametrize(("name", "quoted"), [("a", "`a`"), ("a`b", "`a\\`b`"), ("a\\b", "`a\\\\b`"), ("a b", "`a b`")])
def test_a_name_is_quoted_for_clickhouse(name: str, quoted: str) -> None:
    assert quote_identifier(name) == quoted
    assert table_name(f"{quoted}.{quoted}") == (name, name)


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT hex(1)", set()),
        ("WITH (x -> x) AS hex SELECT hex(1)", {"hex"}),
        ("SELECT arrayMap((x -> x) AS f, [1]), f(1)", {"f"}),
        ("SELECT arrayMap(x -> x, [1]) AS f", set()),
        ("SELECT (SELECT lambda(tuple(x), x) AS g)", {"g"}),
    ],
)
def test_lambdas_with_a_name_are_found(sql: str, names: set[str], read: Read) -> None:
    assert read(sql).lambdas == names
