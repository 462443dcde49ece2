"""Counts writes to each table, so that the result cache can tell whether a result is still current.

Every write passes through the engine, so no writer has to report it. Only the tables that a statement writes to count,
not those that it reads.
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
_OWN = "clickpipe_"  # internal databases of rows in transit: callers never read them


class Versions:
    """A write counter per table. Methods may be called from any thread."""

    def __init__(self) -> None:
        """Start empty."""
        self._lock = threading.Lock()
        self._of: dict[str, int] = {}

    def ran(self, statement: str) -> None:
        """Count a write to each table that this statement writes to. It may have failed halfway."""
        names = _written(statement)
        if names:
            with self._lock:
                for name in names:
                    self._of[name] = self._of.get(name, 0) + 1

    def of(self, tables: Sequence[str]) -> tuple[int, ...]:
        """Return the counters of tables (`database.table`). They only grow."""
        with self._lock:
            return tuple(self._of.get(table, 0) for table in tables)


def _written(statement: str) -> list[str]:
    """Return the tables that a statement writes to: two for EXCHANGE, else one or none."""
    begin = _WRITES.match(statement)
    first = _NAME.match(statement, begin.end()) if begin else None
    if first is None or first[1].startswith(_OWN):
        return []
    found = [f"{first[1]}.{first[2]}"]
    between = _AND.match(statement, first.end())
    second = _NAME.match(statement, between.end()) if between else None
    return [*found, f"{second[1]}.{second[2]}"] if second else found
