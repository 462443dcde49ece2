"""Bounds the memory that callers' queries use together, so that ingestion, jobs and other workspaces keep theirs.

ClickHouse limits each query, and everything together. At the latter limit whichever statement asks for memory next
fails, be it an insert or another workspace's small query. So the largest query of the workspace that uses most is ended
before that.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

_MOMENT = 2.0  # seconds for an ended query to give its memory back


@dataclass(slots=True)
class MemoryWatch:
    """Decides which queries to end; `most` is how many bytes all may use."""

    most: int
    _ended: dict[str, float] = field(default_factory=dict)

    def excess(
        self, used: Mapping[str, int], whose: Mapping[str, Hashable], running: Mapping[str, Hashable]
    ) -> list[str]:
        """Return the queries to end.

        `used` is the memory of each statement, `whose` the workspace of each query, including stuck ones that nothing
        ends; `running` are those that can be ended.
        """
        now = time.monotonic()
        self._ended = {tag: at for tag, at in self._ended.items() if tag in used}
        counted = {
            tag: used[tag] for tag in whose if tag in used and now - self._ended.get(tag, now - _MOMENT) >= _MOMENT
        }
        found: list[str] = []
        total, of = sum(counted.values()), Counter[Hashable]()
        for tag, size in counted.items():
            of[whose[tag]] += size
        left = {tag for tag in counted if tag in running and tag not in self._ended}
        while total > self.most and left:
            tag = max(left, key=lambda one: (of[whose[one]], counted[one]))
            left.remove(tag)
            found.append(tag)
            total -= counted[tag]
            of[whose[tag]] -= counted[tag]
        self._ended.update(dict.fromkeys(found, now))
        return found
