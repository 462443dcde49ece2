"""Which queries no row can fail."""

from __future__ import annotations

import pytest

from clickpipe.engine import Engine
from clickpipe.sql import may_fail

CANNOT = [
    "SELECT * FROM p",
    "SELECT a, count() FROM p WHERE ts > now() - INTERVAL 1 HOUR AND v LIKE 'x%' GROUP BY a ORDER BY a LIMIT 3",
    "SELECT toStartOfInterval(ts, INTERVAL 5 MINUTE) AS t, sum(a * b) / count() FROM p GROUP BY t",
    "SELECT toDate(ts) AS d, uniq(v) FROM p WHERE d >= toDate('2026-01-01') GROUP BY d",
    "SELECT count() FROM p WHERE toDateTime(p.ts) < toDateTime(1)",
    "SELECT * FROM p WHERE a IN (SELECT a FROM p WHERE b = 1) OR a BETWEEN 1 AND 2 OR a IS NULL",
    "WITH x AS (SELECT a FROM p) SELECT x.a, toUInt8('1'), [1, 2][1] FROM x JOIN p USING a",
    "SELECT toHour(ts, 'Europe/Madrid'), round(a, 2), quantile(0.9)(a) FROM p",
    "SELECT * FROM p WHERE ts > toDateTime64('2026-01-01 00:00:00', 3) AND (a, v) IN ((1, 'x'))",
]
MAY = [
    "SELECT * FROM p WHERE throwIf(a > 1) = 0",
    "SELECT * FROM p WHERE intDiv(1, a) = 1",
    "SELECT * FROM p WHERE a % b = 1",
    "SELECT * FROM p WHERE CAST(a AS UInt8) = 1",
    "SELECT * FROM p WHERE a::UInt8 = 1",
    "SELECT * FROM p WHERE accurateCast(a, 'Int8') = 1",
    "SELECT * FROM p WHERE toUInt8(v) = 1",
    "SELECT * FROM p WHERE [1, 2][a] = 1",
    "SELECT * FROM p WHERE toDate(concat(v, '')) = today()",
    "SELECT * FROM p WHERE toDate(if(v LIKE 'x%', 'bad', '2026-01-01')) = today()",
    "WITH least(v, '2026-01-01') AS d SELECT * FROM p WHERE toDate(d) = today()",
    "SELECT * FROM (SELECT upper(v) AS d FROM p) AS q WHERE toDate(q.d) = today()",
    "SELECT * FROM (SELECT upper(v) FROM p) AS q(d) WHERE toDate(d) = today()",
    "WITH q(d) AS (SELECT upper(v) FROM p) SELECT * FROM q WHERE toDate(d) = today()",
    "SELECT * FROM p WHERE a LIKE v",
    "SELECT * FROM p WHERE match(v, a)",
    "SELECT * FROM p WHERE toHour(ts, v) = 1",
    "SELECT * FROM p WHERE toStartOfInterval(ts, toIntervalHour(a)) = ts",
    "SELECT * FROM p WHERE round(a, b) = 1",
    "SELECT * FROM p WHERE repeat('x', a) = 'x'",
    "SELECT * FROM p WHERE a = toDecimal256('1', 70)",
    "SELECT * APPLY(toUInt8) FROM p",
    "SELECT COLUMNS('v') APPLY(x -> toUInt8(x)) FROM p",
    "SELECT arrayMap(x -> x, [a]) FROM p",
    "SELECT * FROM (SELECT toUInt8(v) AS x FROM p) WHERE x = 1",
    "SELECT * FROM p AS a JOIN p AS b ON a.a = toUInt8(b.v)",
    "SELECT * FROM p WHERE a IN (SELECT toUInt8(v) FROM p)",
    "SELECT * FROM p WHERE dictGet('d', 'v', a) = 1",
    "SELECT * FROM p ORDER BY toUInt8(v)",
]


@pytest.mark.parametrize("sql", CANNOT)
def test_no_row_can_fail_it(engine: Engine, sql: str) -> None:
    assert not may_fail(engine.syntax_tree(sql), decimals=False, times=True)


@pytest.mark.parametrize("sql", MAY)
def test_a_row_may_fail_it(engine: Engine, sql: str) -> None:
    assert may_fail(engine.syntax_tree(sql), decimals=False, times=False)


@pytest.mark.parametrize("sql", ["SELECT a + 1 FROM p", "SELECT * FROM p WHERE a * b = 1", "SELECT -a FROM p"])
def test_arithmetic_may_fail_with_decimals(engine: Engine, sql: str) -> None:
    tree = engine.syntax_tree(sql)
    found = (may_fail(tree, decimals=True, times=False), may_fail(tree, decimals=False, times=False))
    assert found == (True, False)


@pytest.mark.parametrize(
    "sql", ["SELECT ts + a FROM p", "SELECT * FROM p WHERE ts - INTERVAL 9 YEAR > toDate('1971-01-01')"]
)
def test_sums_may_fail_with_times(engine: Engine, sql: str) -> None:
    tree = engine.syntax_tree(sql)
    found = (may_fail(tree, decimals=False, times=True), may_fail(tree, decimals=False, times=False))
    assert found == (True, False)
