"""Writes SQL that ClickHouse takes, over what a token may read, and that asks for more than the token shows."""

# ruff: noqa: E501 - lists of pieces
from __future__ import annotations

from collections.abc import Sequence
from random import Random

INNER = {"mine": "every", "wide": "broad"}  # the node before what a pipe publishes
_ROW = ("val", "id", "tenant", "id", "val")
COLUMNS = {
    **dict.fromkeys(
        ("events", "flat", "keyed", "other", "own", "spare", "mine", "wide", "acmes", *INNER.values()), _ROW
    ),
    "sec": ("id",),
    "oth": ("c",),
    "names": ("c", "tenant", "s"),
}
_TEXTS = (
    "{c}", "toString({c})", "concat({c}, '!')", "upper(toString({c}))", "hex(toString({c}))", "reverse(toString({c}))",
    "substring(toString({c}), 1, 30)", "toString(tuple({c}, 1))", "arrayStringConcat([toString({c})])",
    "if(1, toString({c}), '')", "ifNull(toString({c}), '')", "(x -> toString(x))({c})", "toJSONString(map('a', {c}))",
    "arrayMap(x -> concat(toString(x), '?'), [{c}])[1]", "coalesce(NULL, toString({c}))", "CAST({c} AS String)",
    "format('{{}}', toString({c}))", "replaceAll(toString({c}), 'x', 'y')", "materialize(toString({c}))",
)  # fmt: skip
_AGGREGATES = (
    "count()", "uniqExact({c})", "toString(groupArray({c}))", "max({c})", "min({c})", "any({c})", "argMax({c}, 1)",
    "toString(groupUniqArray({c}))", "countIf(toString({c}) LIKE '%globex%')", "toString(topK(9)({c}))",
    "max(length(toString({c})))", "sum(cityHash64({c}) % 1000)", "anyLast({c})", "toString(quantile(length(toString({c}))))",
    "toString(groupArrayDistinct({c}))", "maxOrNull({c})", "sumMap(map(toString({c}), 1))", "first_value({c})",
)  # fmt: skip
# What would tell of rows that a filter hides, by an error or its absence.
ORACLES = (
    "throwIf(startsWith(toString({c}), 'canary-of-globex'))", "toUInt8OrZero(toString({c}))", "throwIf(toString({c}) LIKE '%initech%')",
    "1 / (toString({c}) != 'globex')", "intDiv(1, toUInt8(toString({c}) NOT LIKE '%initech%'))", "throwIf(id > 50)", "throwIf({c} = 'globex')",
    "toUInt64(toString({c}))", "CAST({c} AS UInt8)", "toDate(toString({c}))", "assumeNotNull(toUInt8OrNull(toString({c})))",
    "[1, 2][toUInt8(toString({c}) = 'globex')]", "repeat('x', if(toString({c}) LIKE '%globex%', 10000000, 1))",
    "JSONExtractString(toString({c}), 'a')", "throwIf(toString({c}) NOT LIKE '%acme%', 'there are others')", "accurateCast(id, 'Int8')",
    "accurateCast(length(toString({c})), 'UInt8')", "dictGetOrDefault('x', 'y', toUInt64(1), {c})", "intDiv(1, toInt64(id) - 100)",
    "modulo(1, toInt64(id) - 200)", "throwIf(max({c}) > 50)", "toFixedString(toString({c}), 26)", "throwIf({c} > 50)", "{c} % ({c} - 100)",
)  # fmt: skip
_VIRTUAL = (
    *("_part", "_partition_id", "_partition_value", "_table", "_database", "_part_offset", "_block_number"),
    *("_sample_factor", "_part_index", "_row_exists", "_part_data_version", "_disk_name"),
)
_WITH = (
    "1 AS one", "'globex' AS wanted", "(SELECT 1) AS sub", "x -> concat(toString(x), '') AS f", "[1, 2] AS list",
    "cte AS (SELECT 1 AS a)", "(SELECT max(1)) AS m",
)  # fmt: skip
_SHADOWS = (
    "'globex' AS tenant",
    "1 AS id",
    "(x -> 1) AS equals",
    "events AS (SELECT 1 AS id)",
    "NULL AS val",
    "tenant AS val",
)


# What ClickHouse's clients ask of a server before they ask for rows.
_CLIENTS = (
    "SELECT name, total_rows, total_bytes FROM system.tables ORDER BY name", "SHOW TABLES", "SHOW DATABASES", "DESCRIBE TABLE {t}", "EXISTS TABLE {t}",
    "SELECT name, type FROM system.columns WHERE table = '{t}'", "SHOW CREATE TABLE {t}", "SELECT * FROM system.databases", "SELECT version()",
    "SELECT sum(total_rows) FROM system.tables", "SELECT name, value FROM system.settings WHERE name LIKE 'max_rows%'", "SHOW COLUMNS FROM {t}",
    "EXPLAIN SELECT * FROM {t}", "EXPLAIN ESTIMATE SELECT * FROM {t}", "EXPLAIN indexes = 1 SELECT * FROM {t} WHERE id = 101", "SHOW FULL TABLES",
    "SELECT * FROM information_schema.tables", "SELECT engine, partition_key, sorting_key FROM system.tables WHERE name = '{t}'", "SELECT currentUser()",
)  # fmt: skip


class NearWriter:
    """Writes queries; the same for the same seed. `names` are the tables and pipes that may be read."""

    def __init__(self, seed: int, names: Sequence[str]) -> None:
        self._random = Random(seed)
        self._names = names

    def query(self) -> str:
        """Return a query."""
        if self._one_in(30):
            return self._of(_CLIENTS).replace("{t}", self._of(self._names))
        query = self._select(0)
        for join in (" UNION ALL ", " UNION DISTINCT ", " INTERSECT ", " EXCEPT "):
            if self._one_in(25):
                query = f"({query}){join}({self._select(1)})"
        return query

    def _one_in(self, number: int) -> bool:
        return self._random.randrange(number) == 0

    def _of(self, choices: Sequence[str]) -> str:
        return self._random.choice(choices)

    def _select(self, depth: int) -> str:
        name = self._of(self._names)
        column = self._of(COLUMNS[name])
        table, column = self._table(name, column, depth)
        grouped = self._one_in(3)
        with_ = f"WITH {self._of(_SHADOWS if self._one_in(4) else _WITH)} " if self._one_in(4) else ""
        wanted = self._expression(column, grouped=grouped, depth=depth)
        sql = f"{with_}SELECT {wanted} AS v FROM {table}"
        if not grouped and self._one_in(6):
            sql += " ARRAY JOIN [1, 2] AS n"
        if self._one_in(3):
            sql += f" {self._of(('WHERE', 'WHERE', 'PREWHERE'))} {self._condition(column, depth)}"
        if grouped and self._one_in(3):
            sql += self._of(
                (f" GROUP BY {column}", f" GROUP BY toString({column}) WITH TOTALS", f" GROUP BY {column} WITH ROLLUP")
            )
        if self._one_in(4):
            sql += self._of((" ORDER BY v", " ORDER BY v DESC LIMIT 3", " LIMIT 5", " LIMIT 1 BY v"))
        return sql

    def _table(self, name: str, column: str, depth: int) -> tuple[str, str]:
        """Return what is read, and how its column is named."""
        kind = self._random.randrange(8)
        if kind < 3 or depth > 1:
            return self._of(
                (name, f"{name} AS z", f"`{name}`", f'"{name}"', f"{name} FINAL" if name == "events" else name)
            ), column
        if kind == 3:
            return f"({self._select(depth + 1)}) AS q", "v"
        other = self._of(self._names)
        its = self._of(COLUMNS[other])
        if kind == 4:
            return (
                f"{name} AS a JOIN {other} AS b ON {self._of(('1 = 1', f'toString(a.{column}) != toString(b.{its})'))}",
                self._of((f"a.{column}", f"b.{its}")),
            )
        if kind == 5:
            join = self._of(
                ("LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "ANY LEFT JOIN", "SEMI LEFT JOIN", "ANTI LEFT JOIN")
            )
            return (
                f"{name} AS a {join} {other} AS b ON toString(a.{column}) = toString(b.{its})",
                f"a.{column}",
            )
        if kind == 6:
            return f"{name} AS a CROSS JOIN {other} AS b", f"b.{its}"
        return f"view(SELECT * FROM {name})", column

    def _expression(self, column: str, *, grouped: bool, depth: int) -> str:
        kind = self._random.randrange(10)
        if kind == 0 and depth < 2:
            return f"(SELECT {self._of(_AGGREGATES).format(c='v')} FROM ({self._select(depth + 1)}))"
        if kind == 1:
            inner = self._of(ORACLES).format(c=column)
            return f"max(toString({inner}))" if grouped else f"toString({inner})"
        if kind == 2 and not grouped:
            return f"toString({self._of(_VIRTUAL)})"
        if kind == 3 and not grouped:
            return f"{self._of(('row_number()', 'count()', f'max(toString({column}))', f'lagInFrame(toString({column}))'))} OVER (ORDER BY {column})"
        text = self._of(_TEXTS).format(c=column)
        return self._of(_AGGREGATES).format(c=text) if grouped else text

    def _condition(self, column: str, depth: int) -> str:
        kind = self._random.randrange(5)
        if kind == 0 and depth < 2:
            other = self._of(self._names)
            return f"toString({column}) {self._of(('IN', 'NOT IN'))} (SELECT toString({self._of(COLUMNS[other])}) FROM {other})"
        if kind == 1:
            return f"NOT ignore({self._of(ORACLES).format(c=column)})"
        if kind == 2:
            return f"{self._of(ORACLES).format(c=column)} OR 1"
        return self._of(
            (
                f"toString({column}) != ''",
                f"toString({column}) LIKE '%globex%'",
                f"{self._of(ORACLES).format(c=column)} = 0",
                f"{self._of(ORACLES).format(c=column)} <= 1 AND {column} = {column}",
                f"length(toString({column})) > 2",
                "1",
                "1 OR 0",
            )
        )
