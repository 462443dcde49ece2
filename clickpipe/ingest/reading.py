"""How much of requests is in memory while they come in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest.segments import Segments


class Reading:
    """Counts the bytes of requests that are being read. Methods may be called from any thread."""

    def __init__(self, most: int, segments: Segments) -> None:
        """Refuse more than `most` bytes of several, those together that are being read and that wait in `segments`."""
        self._most = most
        self._segments = segments
        self._bytes = 0
        self._lock = threading.Lock()

    def require(self, workspace: str, size: int, *, alone: bool) -> None:
        """Raise ClickpipeError 503 where there is no room for a request, unless nothing else waits.

        A workspace that is not `alone` leaves half of the room to others.
        """
        every, own = self._segments.waiting_bytes, self._segments.waiting_of[workspace]
        if (every and every + size > self._most) or (own and own + size > self._most // 2 and not alone):
            raise overloaded()

    @contextmanager
    def reading(self) -> Iterator[Callable[[int], None]]:
        """Give a function that counts bytes of a request while they come in, until its lines are submitted.

        It raises ClickpipeError 503 when too much is in memory: a request that comes alone may be of any size.
        """
        own = 0

        def count(size: int) -> None:
            nonlocal own
            with self._lock:
                others = self._bytes - own + self._segments.waiting_bytes
                if others and others + own + size > self._most:
                    raise overloaded()
                self._bytes += size
            own += size

        try:
            yield count
        finally:
            with self._lock:
                self._bytes -= own


def overloaded() -> ClickpipeError:
    """Return the 503 of a server that has too much to write."""
    message = "Too much is waiting to be written. Please send it again in a moment."
    return ClickpipeError(message, status=503, code="overloaded")
