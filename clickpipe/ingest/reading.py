"""Limits the memory used by incoming requests."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest.pools import Pools
from clickpipe.ingest.segments import Segments


class Reading:
    """Counts the bytes of requests that are being read. Methods may be called from any thread."""

    def __init__(self, most: int, segments: Segments, pools: Pools) -> None:
        """Allow at most `most` bytes of several requests, being read or waiting in `segments`, in total.

        An owner of workspaces may use only half of that if `pools` has other owners.
        """
        self._most = most
        self._segments = segments
        self._pools = pools
        self._bytes = 0
        self._bytes_of: Counter[str] = Counter()
        self._lock = threading.Lock()

    def require(self, workspace: str, size: int) -> None:
        """Raise ClickpipeError 503 if there is no room for a request, unless nothing else is waiting."""
        every = self._segments.waiting_bytes
        if every + size <= self._most // 2:
            return  # nobody's share is smaller
        own = self._waiting_of(workspace)
        if (every and every + size > self._most) or (own and own + size > self._share(workspace)):
            raise overloaded()

    def _waiting_of(self, workspace: str) -> int:
        """Return the waiting bytes of a workspace and its previews."""
        owner, every = self._pools.owner, list(self._segments.waiting_of.items())
        return sum(size for other, size in every if owner(other) == owner(workspace))

    def _share(self, workspace: str) -> int:
        return self._most // 2 if self._pools.has_others(workspace) else self._most

    @contextmanager
    def reading(self, workspace: str) -> Iterator[Callable[[int], None]]:
        """Yield a function that counts the bytes of a request as they arrive, until its lines are submitted.

        It raises ClickpipeError 503 if too much is in memory; a request that comes alone may be of any size.
        """
        own, owner = 0, self._pools.owner(workspace)

        def count(size: int) -> None:
            nonlocal own
            with self._lock:
                others = self._bytes - own + self._segments.waiting_bytes
                if others + own + size > self._most // 2:  # below it, nobody has too much
                    same = self._bytes_of[owner] - own + self._waiting_of(workspace)
                    if others and others + own + size > self._most:
                        raise overloaded()
                    if same and same + own + size > self._share(workspace):
                        raise overloaded()
                self._bytes += size
                self._bytes_of[owner] += size
            own += size

        try:
            yield count
        finally:
            with self._lock:
                self._bytes -= own
                self._bytes_of[owner] -= own


def overloaded() -> ClickpipeError:
    """Return the 503 error for a server with too much to write."""
    message = "Too much data is waiting to be written. Please send it again in a moment."
    return ClickpipeError(message, status=503, code="overloaded")
