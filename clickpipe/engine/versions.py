"""How often each table was written to: what a kept result is held against.

Every write passes through the engine, so nothing that writes has to remember to tell.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence

_WRITES = re.compile(
    r"\s*(?:INSERT|ALTER|TRUNCATE|DELETE|DROP|CREATE|EXCHANGE|RENAME|REPLACE|OPTIMIZE)\b", re.IGNORECASE
)
_NAME = re.compile(r"(?<!\w)`?(\w++)`?\.`?(\w++)`?")
_HEAD = 20_000  # characters of a statement in which its tables are named; data may follow


class Versions:
    """A number for each table that was written to. Methods may be called from any thread."""

    def __init__(self) -> None:
        """Start with no table written to."""
        self._lock = threading.Lock()
        self._of: dict[str, int] = {}

    def ran(self, statement: str) -> None:
        """Take note of a statement that ran, or failed halfway: all tables that a write names count as written to."""
        if _WRITES.match(statement):
            with self._lock:
                for database, table in set(_NAME.findall(statement[:_HEAD])):
                    name = f"{database}.{table}"
                    self._of[name] = self._of.get(name, 0) + 1

    def of(self, tables: Sequence[str]) -> tuple[int, ...]:
        """Return the numbers of tables (`database.table`), which only grow."""
        with self._lock:
            return tuple(self._of.get(table, 0) for table in tables)
