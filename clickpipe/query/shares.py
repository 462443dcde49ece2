"""Shares of the result cache: when it is full, the workspace that takes most gives up its oldest results."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable

from clickpipe.query.answer import Kept


class Shares:
    """Results by workspace and key, with a limit for all together. Used under the cache's lock."""

    def __init__(self, max_bytes: int) -> None:
        """Start empty; hold up to `max_bytes`."""
        self._max_bytes = max_bytes
        self._kept: dict[Hashable, OrderedDict[Hashable, Kept]] = {}
        self._sizes: Counter[Hashable] = Counter()
        self.size = 0

    def find(self, whose: Hashable, key: Hashable) -> Kept | None:
        """Return a workspace's result, which is its newest from now on; None if there is none."""
        own = self._kept.get(whose)
        found = own.get(key) if own is not None else None
        if own is not None and found is not None:
            own.move_to_end(key)
        return found

    def put(self, whose: Hashable, key: Hashable, kept: Kept) -> None:
        """Add or replace a result. Those of the workspace with most bytes go until there is space."""
        own = self._kept.setdefault(whose, OrderedDict())
        before = own.pop(key, None)
        own[key] = kept
        self._count(whose, kept.size - (before.size if before else 0))
        while self.size > self._max_bytes:
            largest = max(self._sizes, key=self._sizes.__getitem__)
            self._count(largest, -self._kept[largest].popitem(last=False)[1].size)
            if not self._kept[largest]:
                del self._kept[largest], self._sizes[largest]

    def _count(self, whose: Hashable, size: int) -> None:
        self._sizes[whose] += size
        self.size += size
