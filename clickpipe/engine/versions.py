"""How often each table was written to: what a kept result is held against.

Every write passes through the engine, so nothing that writes has to remember to tell. What counts is the table that a
statement writes to, not what it reads or the data in it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence

_WRITES = re.compile(
    r"\s*(?:"
    r"INSERT\s+INTO\s+(?:TABLE\s+)?"
    r"|(?:ALTER|TRUNCATE|DROP|DETACH|ATTACH|OPTIMIZE|EXCHANGE|RENAME)\s+(?:TABLES?\s+)?(?:IF\s+(?:NOT\s+)?EXISTS\s+)?"
    r"|CREATE\s+(?:OR\s+REPLACE\s+)?TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?"
    r"|DELETE\s+FROM\s+"
    r")",
    re.IGNORECASE,
)
_NAME = re.compile(r"`?(\w++)`?\.`?(\w++)`?")
_AND = re.compile(r"`?\s+(?:AND|TO)\s+", re.IGNORECASE)
_OWN = "clickpipe_"  # databases of rows on their way: no caller reads them


class Versions:
    """A number for each table that was written to. Methods may be called from any thread."""

    def __init__(self) -> None:
        """Start with no table written to."""
        self._lock = threading.Lock()
        self._of: dict[str, int] = {}

    def ran(self, statement: str) -> None:
        """Take note of a statement that ran, or failed halfway: the tables that it writes to count as written to."""
        names = _written(statement)
        if names:
            with self._lock:
                for name in names:
                    self._of[name] = self._of.get(name, 0) + 1

    def of(self, tables: Sequence[str]) -> tuple[int, ...]:
        """Return the numbers of tables (`database.table`), which only grow."""
        with self._lock:
            return tuple(self._of.get(table, 0) for table in tables)


def _written(statement: str) -> list[str]:
    """Return the names of the tables that a statement writes to: two of an EXCHANGE, one of others, or none."""
    begin = _WRITES.match(statement)
    first = _NAME.match(statement, begin.end()) if begin else None
    if first is None or first[1].startswith(_OWN):
        return []
    found = [f"{first[1]}.{first[2]}"]
    between = _AND.match(statement, first.end())
    second = _NAME.match(statement, between.end()) if between else None
    return [*found, f"{second[1]}.{second[2]}"] if second else found
