"""Limits what connections hold in memory: bodies of requests, and responses that clients have not taken yet.

A query's own limits end with it, but its result stays in memory until its client has read it, which may be never.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import Protocol

_LOGGER = logging.getLogger(__name__)
_AGAIN = 60.0  # seconds until an ended connection is logged again


class Holder(Protocol):
    """A connection that holds memory."""

    @property
    def owner(self) -> str:
        """Return the workspace that it holds memory for."""
        ...

    @property
    def held(self) -> int:
        """Return how many bytes it holds now."""
        ...

    def end(self) -> None:
        """Close it, and drop what it holds."""
        ...


class ConnectionMemory:
    """Ends the largest connection of the workspace that holds most while all together hold more than `most` bytes.

    Used by one thread. 0: no limit.
    """

    def __init__(self, most: int) -> None:
        """Start with no connections."""
        self._most = most
        self._known: dict[Holder, int] = {}  # bytes when last looked at: they become fewer unnoticed
        self._sum = 0
        self._logged = 0.0

    def look(self, holder: Holder) -> None:
        """Look at a connection that holds more than before, or less."""
        self._note(holder)
        if not self._most or self._sum <= self._most:
            return
        for known in list(self._known):
            self._note(known)
        while self._sum > self._most:
            self._end_one()

    def forget(self, holder: Holder) -> None:
        """Forget a connection that is closed."""
        self._sum -= self._known.pop(holder, 0)

    def _note(self, holder: Holder) -> None:
        held = holder.held
        self.forget(holder)
        if held > 0:
            self._known[holder] = held
            self._sum += held

    def _end_one(self) -> None:
        sums: Counter[str] = Counter()
        for holder, held in self._known.items():
            sums[holder.owner] += held
        greediest = max(sums, key=lambda owner: sums[owner])
        largest = max((h for h in self._known if h.owner == greediest), key=lambda h: self._known[h])
        held = self._known[largest]
        self.forget(largest)
        largest.end()
        now = time.monotonic()
        if not self._logged or now - self._logged > _AGAIN:
            self._logged = now
            message = "connections held more than %d bytes: the largest (%d bytes), of the workspace %s, was closed"
            _LOGGER.warning(message, self._most, held, greediest or "-")
