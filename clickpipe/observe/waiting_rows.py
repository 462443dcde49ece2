"""Rows of service data sources that wait to be written, with a limit that no workspace uses up for others."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence

_MOST_BYTES = 64 << 20


class WaitingRows:
    """Rows by database and table. Methods may be called from any thread.

    When there are too many, the database whose rows take most space loses its oldest.
    """

    def __init__(self, most: int, most_bytes: int = _MOST_BYTES) -> None:
        """Hold up to `most` rows, and `most_bytes` of them."""
        self._most, self._most_bytes = most, most_bytes
        self._lock = threading.Lock()
        self._rows: dict[str, deque[tuple[str, bytes]]] = {}
        self._sizes: Counter[str] = Counter()
        self._count = self._size = 0

    def __len__(self) -> int:
        """Return how many rows wait."""
        return self._count

    def add(self, database: str, table: str, row: bytes) -> None:
        """Add a row."""
        with self._lock:
            self._rows.setdefault(database, deque()).append((table, row))
            self._counted(database, 1, len(row))
            while self._count > self._most or self._size > self._most_bytes:
                largest = max(self._sizes, key=self._sizes.__getitem__)
                self._counted(largest, -1, -len(self._rows[largest].popleft()[1]))
                if not self._rows[largest]:
                    self._forget(largest)

    def take(self) -> Mapping[tuple[str, str], Sequence[bytes]]:
        """Return all rows, by database and table, oldest first; none wait then."""
        with self._lock:
            rows, self._rows = self._rows, {}
            self._sizes.clear()
            self._count = self._size = 0
        found: defaultdict[tuple[str, str], list[bytes]] = defaultdict(list)
        for database, own in rows.items():
            for table, row in own:
                found[database, table].append(row)
        return found

    def remove(self, database: str) -> None:
        """Drop the rows of a database."""
        with self._lock:
            if database in self._rows:
                self._counted(database, -len(self._rows[database]), -self._sizes[database])
                self._forget(database)

    def _counted(self, database: str, rows: int, size: int) -> None:
        self._sizes[database] += size
        self._count += rows
        self._size += size

    def _forget(self, database: str) -> None:
        del self._rows[database], self._sizes[database]
