"""Mutates the list of known ways out (tests/server/ways_out.txt): each came from somebody who got out once."""

# ruff: noqa: RUF001 - quotes that ClickHouse takes
from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from random import Random

from tests.security.sql_writer import Known

_LIST = Path(__file__).parents[1] / "server" / "ways_out.txt"
_WRAPS = (
    "SELECT * FROM ({q}) AS z", "WITH z AS ({q}) SELECT * FROM z", "SELECT ({q})", "SELECT 1 WHERE 1 IN ({q})",
    "SELECT * FROM (SELECT 1) AS a, ({q}) AS b", "({q}) UNION ALL ({q})", "SELECT 1 UNION ALL {q}", "(({q}))",
    "SELECT * FROM view({q})", "SELECT * FROM {t} WHERE EXISTS ({q})", "SELECT * FROM {t} WHERE 0 UNION ALL {q}",
    "WITH z AS (SELECT 1), y AS ({q}) SELECT * FROM y", "WITH ({q}) AS x SELECT x", "SELECT arrayMap(x -> ({q}), [1])",
    "SELECT if(1, toString(({q})), '')", "SELECT * FROM {t} AS a LEFT JOIN ({q}) AS b ON 1 = 1", "{q} EXCEPT SELECT 1",
    "EXPLAIN SELECT * FROM ({q})", "DESCRIBE ({q})", "SELECT throwIf(1, toString(({q})))", "FROM ({q}) SELECT *",
    "SELECT * FROM {t} ORDER BY ({q})", "SELECT * FROM {t} LIMIT ({q})", "SELECT count() FROM {t} HAVING ({q}) != ''",
)  # fmt: skip
_NOISE = (
    "/**/", "/* x */", "/* ' */", "--\n", "-- ' \n", "#\n", "# FROM other\n", "#!x\n", "\t", "\n", "\r\n", "\f",
    "\u00a0", "\u3000", "\ufeff", "\u200b", "/*/**/*/", "/* FROM events */",
)  # fmt: skip
_PLACES = re.compile(r"\s+|(?<=[(,.])|(?=[(,.)=])")
_WORD = re.compile(r"[A-Za-z_]\w*")
_TEXT = re.compile(r"'((?:[^'\\]|\\.)*)'")


def known_ways(known: Known) -> list[str]:
    """Return the list with what an attacker may have learned filled in."""
    foreign, own = known.physical[-1], known.physical[0]
    names = {"{file}": known.file, "{port}": "9", "{other}": foreign, "{own}": own, "{database}": own.partition(".")[0]}
    lines = [line for line in _LIST.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    for name, value in names.items():
        lines = [line.replace(name, value) for line in lines]
    return lines


class SeedWriter:
    """Writes queries; the same for the same seed. `names` are the tables and pipes that may be read."""

    def __init__(self, seed: int, ways: Sequence[str], names: Sequence[str]) -> None:
        self._random = Random(seed)
        self._names = names or ("events",)
        self.source = self._random.choice(ways)

    def query(self) -> str:
        """Return a query, made of `source`."""
        sql = self.source
        mutations = (self._wrap, self._noise, self._case, self._quote, self._requote)
        for _ in range(self._random.randrange(1, 4)):
            sql = self._random.choice(mutations)(sql)
        return sql

    def _wrap(self, sql: str) -> str:
        wrap = self._random.choice(_WRAPS)
        return wrap.replace("{t}", self._random.choice(self._names)).replace("{q}", sql)

    def _noise(self, sql: str) -> str:
        """Put comments and white space, ClickHouse's and others', where there may be some."""
        places = [match.span() for match in _PLACES.finditer(sql)]
        for start, end in sorted(self._random.sample(places, min(len(places), self._random.randrange(1, 4))))[::-1]:
            sql = (
                sql[:start] + self._random.choice(("", " ")) + self._random.choice(_NOISE) + sql[start:end] + sql[end:]
            )
        return sql

    def _case(self, sql: str) -> str:
        def change(match: re.Match[str]) -> str:
            return self._random.choice((str.upper, str.lower, str.swapcase, str.title, str))(match[0])

        return _WORD.sub(lambda match: change(match) if self._random.randrange(3) == 0 else match[0], sql)

    def _quote(self, sql: str) -> str:
        """Quote some names."""
        marks = self._random.choice(("``", '""', "“”"))
        return _WORD.sub(lambda m: marks[0] + m[0] + marks[1] if self._random.randrange(6) == 0 else m[0], sql)

    def _requote(self, sql: str) -> str:
        """Write some texts in another way."""

        def change(match: re.Match[str]) -> str:
            text = match[1]
            return self._random.choice(
                (
                    match[0],
                    f"$${text}$$",
                    f"$x${text}$x$",
                    f"‘{text}’",
                    f"concat('{text[:2]}', '{text[2:]}')",
                    f"unhex('{text.encode().hex()}')",
                    f"x'{text.encode().hex()}'",
                    "'" + "".join(f"\\x{byte:02x}" for byte in text.encode()) + "'",
                )
            )

        return _TEXT.sub(change, sql)
