"""Writes SQL that tries to get out: from a grammar of what has fooled readers of SQL, here and elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tests.security import sql_pieces as pieces

_SPACE = re.compile(r" (?=[A-Z(*])")


@dataclass(frozen=True)
class Known:
    """What an attacker may have learned: physical names, a file of the host, an address."""

    physical: tuple[str, ...]
    file: str
    address: str


class Writer:
    """Writes queries; the same for the same seed. `names` are the tables and pipes that may be read.

    A bold query is odd throughout, and seldom passes the parser; the others are odd in one or two places, so that
    what is behind the parser is asked too.
    """

    def __init__(self, seed: int, known: Known, names: Sequence[str] = ()) -> None:
        self._random = Random(seed)
        self._known = known
        self._names = names
        self._bold = not names or self._one_in(3)

    def query(self, depth: int = 0) -> str:
        """Return a query."""
        select = f"{self._with(depth)}SELECT {self._columns(depth)} FROM {self._source(depth)}{self._rest(depth)}"
        if self._one_in(8):
            select += f" UNION ALL {self._of('', 'DISTINCT ')}SELECT {self._columns(depth)} FROM {self._source(depth)}"
        if self._one_in(12 if self._bold else 40):
            select = self._of(*pieces.WHOLE).replace("?", self._source(depth)).replace("%", self._name())
        return self._spoiled(select) if depth == 0 else select

    def _one_in(self, number: int) -> bool:
        return self._random.randrange(number) == 0

    def _of(self, *choices: str) -> str:
        return self._random.choice(choices)

    def _name(self) -> str:
        if not self._bold and not self._one_in(25):
            return self._quoted(self._of(*self._names))
        names = (
            "events",
            "other",
            "mine",
            "sec",
            "oth",
            "n",
            "_",
            "every",
            "broad",
            "other__v0",
            "wide__v2",
            "events_quarantine",
            "other_quarantine",
            "nope",
        )
        services = ("tinybird.pipe_stats_rt", "tinybird.jobs_log", "system.tables", "system.parts", "system.one")
        more = ("system.query_log", "system.functions", "information_schema.tables", "default.events", "system.users")
        return self._quoted(self._of(*names, *names, *services, *more, *self._known.physical))

    def _quoted(self, name: str) -> str:
        style = self._random.randrange(10)
        parts = name.replace("`", "").split(".")
        if style == 0:
            return ".".join(f'"{part}"' for part in parts)
        if style == 1:
            return ".".join(f"`{part}`" for part in parts)
        if style == 2:
            return ".".join(f"“{part}”" for part in parts)
        if style == 3:
            return f" /* {self._of('a', 'FROM other', '*')} */ ".join((" ", name, " "))
        return name

    def _source(self, depth: int) -> str:
        kind = self._random.randrange(9)
        if not self._bold and (kind < 4 or depth > 1):
            return self._name() + self._of("", "", " AS z", " z")
        if kind < 4 or depth > 2:
            return self._name() + self._of("", " AS z", " FINAL", " z", " SAMPLE 1")
        if kind == 4:
            return f"({self.query(depth + 1)}){self._of('', ' AS z', ' # FROM other, AS y' + chr(10))}"
        if kind == 5:
            return self._table_function() if self._bold or self._one_in(6) else self._of(*pieces.GOOD_SOURCES)
        joins = ("JOIN", "LEFT JOIN", "ANY LEFT JOIN", "GLOBAL JOIN", "CROSS JOIN", "ASOF JOIN", ",")
        on = self._of("ON 1", "USING id", "ON a.id = b.id", "")
        if not self._bold:
            return f"{self._name()} AS a {self._of(*pieces.GOOD_JOINS)} {self._name()} AS b {self._of(*pieces.GOOD_ON)}"
        return f"{self._name()} AS a {self._of(*joins)} {self._source(depth + 1)} {on}"

    def _table_function(self) -> str:
        name = self._name().replace("`", "").strip()
        database, _, table = name.rpartition(".")
        return self._of(*pieces.TABLE_FUNCTIONS).format(
            file=self._known.file, address=self._known.address, database=database or "default", table=table, name=name
        )

    def _columns(self, depth: int) -> str:
        return ", ".join(self._expression(depth) for _ in range(self._random.randrange(1, 4)))

    def _expression(self, depth: int) -> str:
        kind = self._random.randrange(8)
        if not self._bold and not self._one_in(20):
            if kind == 0 and depth < 2:
                inner = f"SELECT {self._of(*pieces.ONE)} FROM {self._name()} LIMIT 1"
                return f"{self._of('EXISTS', 'toString', '1 IN ')}({inner})"
            return self._of(*pieces.GOOD)
        if kind < 3:
            return self._of(*pieces.PLAIN)
        if kind == 3 and depth < 3:
            return f"{self._of('', 'EXISTS', 'toString', 'arrayJoin')}({self.query(depth + 1)})"
        if kind == 4:
            return f"id {self._of('IN', 'NOT IN', 'GLOBAL IN')} {self._of(self._name(), '(' + self._name() + ')')}"
        call = self._of(*pieces.CALLS)
        name = self._name().replace("`", "").strip()
        return call.format(file=self._known.file, address=self._known.address, name=name) + self._of(
            "", " AS x", " AS id"
        )

    def _with(self, depth: int) -> str:
        if not self._one_in(3):
            return ""
        inner = self.query(depth + 1) if depth < 2 else "SELECT 1 AS id"
        if not self._bold and not self._one_in(12):
            return f"WITH {self._of(*pieces.GOOD_WITH, f'{self._quoted(self._of(*pieces.CTES))} AS ({inner})')} "
        kinds = [f"{self._name()} AS ({inner})", f"({inner}) AS id", f"RECURSIVE t AS ({inner})", *pieces.WITH]
        return f"WITH {self._of(*kinds)} "

    def _rest(self, depth: int) -> str:
        rest = ""
        if not self._bold:
            if self._one_in(3):
                rest += f" WHERE {self._of(*pieces.GOOD_WHERE)}"
            if self._one_in(4):
                rest += self._of(*pieces.GOOD_BEHIND)
            return rest
        if self._one_in(3):
            rest += f" {self._of('WHERE', 'PREWHERE', 'HAVING', 'QUALIFY')} {self._expression(depth)}"
        if self._one_in(5):
            rest += self._of(
                " GROUP BY ALL", " GROUP BY id WITH TOTALS", " ORDER BY val", " ORDER BY ALL", " LIMIT 1 BY id"
            )
        if self._one_in(5):
            rest += " SETTINGS " + self._of(*pieces.SETTINGS)
        return rest

    def _spoiled(self, sql: str) -> str:
        kind = self._random.randrange(12 if self._bold else 40)
        if not self._bold and kind >= 12:
            return _noisy(self._random, sql) if kind < 26 else sql
        words = sql.split(" ")
        at = self._random.randrange(len(words))
        if kind < 5:
            words.insert(at, self._of(*pieces.NOISE))
        elif kind == 5:
            words[at] = words[at] + self._of(";", ")", "(", "'", '"', "`", "--", "/*", "*/", "\0", "#", "\\")
        elif kind == 6:
            return f"%\n{sql} {self._of(*pieces.TEMPLATE)}"
        elif kind == 7:
            return sql + self._of(
                " FORMAT JSON", " FORMAT Vertical", " INTO OUTFILE '/tmp/x'", " FORMAT Null", ";SELECT 1"
            )
        return " ".join(words)


def _noisy(random: Random, sql: str) -> str:
    """Return SQL with comments and white space where there may be some."""
    return _SPACE.sub(lambda _: f" {random.choice(pieces.SPACES)} " if random.randrange(4) == 0 else " ", sql)
