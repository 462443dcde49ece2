"""Conditions that cannot fail for any row, and those that may."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from clickpipe.engine import Engine, EngineError
from clickpipe.sql import conditions_may_fail as may_fail
from clickpipe.sql.allowed import names, unfailing

TYPES = {
    "id": ["UInt64"],
    "n": ["Int32"],
    "s": ["String", "LowCardinality(String)"],
    "day": ["Date"],
    "ts": ["DateTime"],
    "exact": ["DateTime64(3)"],
    "state": ["Enum8('a' = 1)"],
    "price": ["Decimal(18, 2)"],
    "tags": ["Array(String)"],
    "m": ["Map(String, String)"],
    "doc": ["JSON"],
    "mixed": ["Date", "String"],
}
CANNOT = [
    "SELECT 1 FROM t",
    "SELECT 1 FROM t WHERE s = {x:String} AND n BETWEEN 1 AND 2 OR NOT (id != 3)",
    "SELECT 1 FROM t AS z WHERE z.s IN ('a', {x:String}) AND (n, id) NOT IN ((1, 2))",
    "SELECT 1 FROM t WHERE toDate(ts) >= toDate({x:String}) AND toStartOfHour(exact) < now() - INTERVAL 1 DAY",
    "SELECT 1 FROM t WHERE toYYYYMM(day) = toYYYYMM(today()) AND toDate(toStartOfMonth(ts)) = today()",
    "SELECT 1 FROM t WHERE day > today() - 7 AND ts < addDays(now(), 1) AND n + id > 3",
    "SELECT 1 FROM t WHERE s LIKE concat('%', {x:String}, '%') AND lower(s) = 'a' AND match(s, 'a+')",
    "SELECT 1 FROM t WHERE state = 'a' AND state IN ('a')",
    "SELECT 1 FROM t WHERE has(tags, {x:String}) AND m['a'] = 'b' AND JSONExtractString(s, 'a') = 'b'",
    "SELECT 1 FROM t WHERE intDiv(1, {x:Int32}) = 1",  # it fails always, or never
    "SELECT intDiv(1, n) AS q FROM t WHERE n > 1",
    "SELECT lower(s) AS low FROM t WHERE low = 'a'",
    "SELECT n + 1 AS n FROM t WHERE n > 1",
    "SELECT 1 FROM t PREWHERE n = 1 WHERE s = 'a' HAVING id > 1",
    "SELECT 1 FROM t JOIN u ON t.id = u.id AND lower(t.s) = u.s",
    "SELECT 1 FROM t WHERE id IN (SELECT id FROM u WHERE s = 'a')",
    "SELECT 1 FROM (SELECT n AS k FROM t) WHERE k = 1",
    "SELECT multiIf(n = 1, 'a', 'b') AS w FROM t WHERE w = 'a' AND if(n = 1, id, 2) = 3",
    "SELECT 1 FROM t WHERE toInt32OrZero(s) = 1 AND coalesce(s, '') != ''",
]
MAY = [
    "SELECT 1 FROM t WHERE intDiv(1, n - {x:Int32}) = 1",
    "SELECT 1 FROM t WHERE n % {x:Int32} = 1",
    "SELECT 1 FROM t WHERE throwIf(n = {x:Int32}) = 0",
    "SELECT 1 FROM t WHERE toDate(s) = today()",
    "SELECT 1 FROM t WHERE toDate(mixed) = today()",
    "SELECT 1 FROM t WHERE toInt32(s) = 1",
    "SELECT 1 FROM t WHERE CAST(s AS UInt8) = 1",
    "SELECT 1 FROM t WHERE price > 1",
    "SELECT 1 FROM t WHERE doc.a = 1",
    "SELECT 1 FROM t WHERE exact + INTERVAL 1 NANOSECOND > now()",
    "SELECT 1 FROM t WHERE state = s",
    "SELECT 1 FROM t WHERE day + {x:Int64} > today()",
    "SELECT day AS d FROM t WHERE d - n > today()",
    "SELECT 1 FROM t WHERE addYears(ts, {x:Int64}) > now()",
    "SELECT state AS other FROM t WHERE other = s",
    "SELECT 1 FROM t WHERE state = lower(s)",
    "SELECT 1 FROM t WHERE s LIKE m['a']",
    "SELECT 1 FROM t WHERE match(s, s)",
    "SELECT 1 FROM t WHERE tags[n] = 'a'",
    "SELECT 1 FROM t WHERE unknown = 1",
    "SELECT 1 FROM t WHERE repeat(s, n) = ''",
    "SELECT 1 FROM t WHERE arrayExists(x -> intDiv(1, x), tags)",
    "SELECT intDiv(1, n) AS q FROM t WHERE q = 1",
    "SELECT intDiv(1, n) AS n FROM t WHERE n = 1",
    "SELECT intDiv(1, n) AS q, q + 1 AS r FROM t WHERE r = 1",
    "WITH intDiv(1, n) AS q SELECT 1 FROM t WHERE q",
    "SELECT 1 FROM (SELECT intDiv(1, n) AS q FROM t) WHERE q = 1",
    "SELECT s AS day FROM t WHERE toDate(day) = today()",
    "SELECT 1 FROM t PREWHERE intDiv(1, n) WHERE 1",
    "SELECT n FROM t GROUP BY n HAVING intDiv(1, n) = 1",
    "SELECT n FROM t QUALIFY intDiv(1, n) = 1",
    "SELECT 1 FROM t JOIN u ON t.id = u.id AND intDiv(1, u.n)",
    "SELECT 1 FROM t WHERE id IN (SELECT id FROM u WHERE throwIf(s = 'a') = 0)",
    "SELECT (SELECT max(id) FROM u WHERE throwIf(s = 'a') = 0) FROM t",
    "SELECT 1 FROM t WHERE id IN s",
    "SELECT 1 FROM t WHERE throwIf(rowNumberInAllBlocks() > {x:Int32}) = 0",
    "SELECT 1 FROM t WHERE intDiv(1, rand() % 2)",
    "SELECT 1 UNION ALL SELECT 1 FROM t WHERE intDiv(1, n)",
]


@pytest.mark.parametrize("sql", CANNOT)
def test_what_cannot_fail(engine: Engine, sql: str) -> None:
    assert not may_fail([engine.syntax_tree(sql)], TYPES)


@pytest.mark.parametrize("sql", MAY)
def test_what_may(engine: Engine, sql: str) -> None:
    assert may_fail([engine.syntax_tree(sql)], TYPES)


def test_aliases_reach_from_node_to_node(engine: Engine) -> None:
    one, other = (engine.syntax_tree(sql) for sql in ("SELECT intDiv(1, n) AS q FROM t", "SELECT 1 FROM a WHERE q = 1"))
    assert may_fail([one, other], TYPES)
    assert not may_fail([one], TYPES)


TABLE = (
    "values('id UInt64, n Int32, s String, day Date, ts DateTime, exact DateTime64(3), state Enum8(\\'a\\' = 1), "
    "tags Array(String), m Map(String, String)', "
    "(0, 0, '', 0, 0, 0, 'a', [], map()), (18446744073709551615, -2147483648, '%\\\\', 65535, 4294967295, "
    "'2299-12-31 23:59:59.999', 'a', ['', 'a', '%'], map('a', 'x')), (1, 2147483647, '{\\\"a\\\":', 1, 1, "
    "'1900-01-01 00:00:00', 'a', ['x'], map('', '')), (7, -1, '\\\\xff\\\\0é', 365, 86399, '1969-12-31 23:59:59.999', "
    "'a', [], map()))"
)
_COLUMNS = st.sampled_from(["id", "n", "s", "day", "ts", "exact", "state", "tags", "m"])
_CONSTANTS = st.sampled_from(["0", "1", "-1", "'a'", "''", "'%'", "today()", "now()", "2147483647", "NULL", "[]"])


def _call(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    one = [
        *("length", "lower", "toString", "toDate", "toStartOfMonth", "toYYYYMM", "toHour", "abs", "negate", "isNull"),
        *("domain", "path", "cityHash64", "toInt32OrZero", "toUnixTimestamp", "trim", "toMonday", "JSONHas", "empty"),
    ]  # fmt: skip
    two = [
        *("plus", "minus", "multiply", "equals", "less", "notEquals", "and", "or", "ifNull", "nullIf", "has", "concat"),
        *("like", "startsWith", "position", "greatest", "addDays", "arrayElement", "intDiv", "modulo"),
        *("mapContains", "match", "toInt8", "divide", "subtractYears", "addSeconds", "coalesce", "tupleElement"),
    ]  # fmt: skip
    return st.one_of(
        st.builds("{}({})".format, st.sampled_from(one), inner),
        st.builds("{}({}, {})".format, st.sampled_from(two), inner, inner),
        st.builds("if({}, {}, {})".format, inner, inner, inner),
        st.builds("({} IN ({}, {}))".format, inner, _CONSTANTS, _CONSTANTS),
    )


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(expression=st.recursive(_COLUMNS | _CONSTANTS, _call, max_leaves=5))
def test_what_cannot_fail_does_not(engine: Engine, expression: str) -> None:
    """Over odd values ClickHouse fails for none of them: whatever it refuses, it refuses without rows, too."""
    sql = f"SELECT count() FROM {{}} WHERE NOT ignore({expression})"
    types = {
        name: found for name, found in TYPES.items() if name in {"state", "n", "id", "day", "ts", "exact", "tags", "m"}
    }
    types["s"] = ["String"]
    tree = engine.syntax_tree(f"SELECT 1 FROM t WHERE equals({expression}, 1)")
    if may_fail([tree], types):
        return
    try:
        engine.execute(sql.format(f"(SELECT * FROM {TABLE} LIMIT 0)"), output="Null")
    except EngineError:
        return
    try:
        engine.execute(sql.format(f"(SELECT * FROM {TABLE} LIMIT 9)"), output="Null")
    except EngineError as error:
        assert error.name in _ILL_TYPED, expression  # noqa: PT017 - whatever the values


_ILL_TYPED = {"NO_COMMON_TYPE", "ILLEGAL_TYPE_OF_ARGUMENT", "TYPE_MISMATCH"}


def test_functions_that_do_not_fail_are_functions() -> None:
    listed = unfailing("plain") | unfailing("times")
    assert listed <= names("functions")
    assert len(listed) > 90
