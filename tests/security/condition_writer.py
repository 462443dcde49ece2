"""Writes conditions: of rows to delete or to replace, and of rows that a token may read."""

# ruff: noqa: E501, RUF001 - lists of pieces, quotes that ClickHouse takes
from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tests.security.near_writer import ORACLES, NearWriter

_PLAIN = (
    "{c} != ''", "id = 2", "id IN (1, 2, 300)", "tenant = 'acme'", "tenant IN ('acme', 'x')", "val LIKE '%acme%'", "1", "0",
    "id % 2 = 0", "NOT (id > 3)", "tenant = 'acme' AND id >= 0", "length(val) > 3", "match(val, 'a.*c')", "(id, tenant) IN ((0, 'acme'))",
    "tenant = 'acme' -- x", "tenant = 'acme' /* x", "tenant = $$acme$$", "`tenant` = 'acme'", "“tenant” = 'acme'", "tenant = 'acme' #x",
    "tenant = 'acme'\n-- ) OR (1", "if(tenant = 'acme', 1, 0)", "(x -> x = 'acme')(tenant)", "arrayExists(x -> x = tenant, ['acme'])",
    "has(['acme', 'x'], tenant)", "tenant = 'acme' OR NULL", "tuple(tenant = 'acme').1", "CAST(tenant = 'acme' AS UInt8)", "[1][id + 1]",
)  # fmt: skip
_SUB = (
    "id IN ({q})", "(SELECT count() FROM ({q})) > 0", "EXISTS ({q})", "throwIf(1, toString((SELECT any(v) FROM ({q}))))",
    "toUInt8((SELECT any(v) FROM ({q})))", "id IN (SELECT id FROM {t})", "id IN {t}", "val IN (SELECT val FROM {t})",
    "(SELECT count() FROM {t} WHERE val LIKE '%-of-%') > 0", "throwIf(1, (SELECT any(val) FROM {t}))", "throwIf((SELECT max(id) FROM {t}) > 3)",
    "id = (SELECT max(id) FROM {t})", "dictGet('{t}', 'val', id) != ''", "joinGet('{t}', 'val', id) != ''", "joinGet({t}, 'val', id) != ''",
    "id IN (SELECT id FROM merge('', '.*'))", "id IN (SELECT id FROM view(SELECT * FROM {t}))", "id IN (WITH z AS (SELECT * FROM {t}) SELECT id FROM z)",
    "CAST((SELECT any(val) FROM {t}) AS UInt8)", "startsWith((SELECT any(val) FROM {t}), 'canary-of')", "hasColumnInTable('', '{t}', 'val')",
)  # fmt: skip
_ODD = (
    "1) OR (1", "1; SELECT 1", "1, 2", "1 SETTINGS max_threads = 1", "1 FORMAT CSV", "*", "count() > 0", "max(id) > 1", "{x:String} = 'a'",
    "{x:Identifier} = 1", "_part != ''", "_partition_id != ''", "throwIf(_partition_value.1 = 'globex') = 0", "_table = 'x'", "x -> x", "()", "",
    "/*", "--", "file('{file}') != ''", "id IN (SELECT 1 FROM file('{file}'))", "getSetting('additional_table_filters') != map()",
    "getServerSetting('path') != ''", "1 UNION ALL SELECT 1", "1 WHERE 1", "id = {{x}}", "% id", "(SELECT 1) AS tenant", "1 AS tenant",
    "tenant = 'acme' AS tenant", "row_number() OVER () > 0", "rand() % 2", "now() > 0", "sleep(0) = 0", "id IN (SELECT 1) AS x", "‘a’ = tenant",
    "\x00", "1 -- \n) OR (1", "tenant = 'acme' /* ) OR (1 */ OR /* */ 1", "(((((((((1)))))))))", "not tenant", "identity(1)", "isNull(tenant)",
    "currentDatabase() != ''", "throwIf(1, currentDatabase())", "throwIf(1, toString(tuple(hostName(), version())))",
)  # fmt: skip


class ConditionWriter:
    """Writes conditions; the same for the same seed. `names` are tables and pipes, readable or not."""

    def __init__(self, seed: int, names: Sequence[str], file: str) -> None:
        self._random = Random(seed)
        self._names = names
        self._file = file
        self._near = NearWriter(seed, names)

    def condition(self) -> str:
        """Return a condition."""
        first = self._one()
        kind = self._random.randrange(8)
        if kind == 0:
            return f"{first} {self._random.choice(('AND', 'OR'))} {self._one()}"
        if kind == 1:
            return f"NOT ({first})"
        if kind == 2:
            return first.replace(" ", self._random.choice((" /**/ ", "\n", " # x\n", " -- '\n")), 2)
        return first

    def _one(self) -> str:
        kind = self._random.randrange(10)
        if kind < 3:
            text = self._random.choice(_PLAIN)
        elif kind < 6:
            text = self._random.choice(_SUB)
        elif kind < 8:
            text = self._random.choice(("NOT ignore({o})", "{o} = 0 OR 1", "toString({o}) != ''")).replace(
                "{o}", self._random.choice(ORACLES)
            )
        else:
            text = self._random.choice(_ODD)
        text = text.replace("{c}", self._random.choice(("id", "val", "tenant"))).replace("{file}", self._file)
        return text.replace("{t}", self._random.choice(self._names)).replace("{q}", self._near.query())
