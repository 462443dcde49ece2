"""Holds results for a while, so that clients can request them range by range."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from clickpipe.query.bounded import weight

_ENTRY = 1_000  # bytes of overhead per result
_MOST = 256 << 20  # largest result to cut ranges from, in bytes, if none are held


@dataclass(frozen=True, slots=True)
class HeldResult:
    """A result that ranges are cut from."""

    body: bytes
    etag: str
    headers: Mapping[str, str]


class HeldResults:
    """Results by request, dropped when unused for some seconds or when there are too many bytes."""

    def __init__(self, max_bytes: int, seconds: float) -> None:
        """Start empty."""
        self._max_bytes, self._seconds = max_bytes, seconds
        self.most = max_bytes or _MOST  # largest result to cut ranges from, in bytes
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[Hashable, str], tuple[float, HeldResult]] = OrderedDict()
        self._newest: dict[Hashable, str] = {}
        self._size = 0

    def find(self, key: Hashable, etag: str = "") -> HeldResult | None:
        """Return the result with this ETag, or the newest if none is given; None if it is no longer held."""
        with self._lock:
            self._expire()
            place = (key, etag or self._newest.get(key, ""))
            found = self._held.get(place)
            if found is None:
                return None
            self._held[place] = (time.monotonic(), found[1])
            self._held.move_to_end(place)
            return found[1]

    def hold(self, key: Hashable, result: HeldResult) -> None:
        """Hold a result, unless it alone exceeds the limit."""
        with self._lock:
            self._expire()
            self._remove((key, result.etag))
            size = _size_of(key, result)
            if size > self._max_bytes:
                return
            while self._held and self._size + size > self._max_bytes:
                self._remove(next(iter(self._held)))
            self._held[key, result.etag] = (time.monotonic(), result)
            self._newest[key] = result.etag
            self._size += size

    def _expire(self) -> None:
        oldest = time.monotonic() - self._seconds
        while self._held and next(iter(self._held.values()))[0] < oldest:
            self._remove(next(iter(self._held)))

    def _remove(self, place: tuple[Hashable, str]) -> None:
        found = self._held.pop(place, None)
        if found is not None:
            self._size -= _size_of(place[0], found[1])
            if self._newest.get(place[0]) == place[1]:
                del self._newest[place[0]]


def _size_of(key: Hashable, result: HeldResult) -> int:
    """Return about how many bytes a result takes with the request that it is of, whose URL may be long."""
    return len(result.body) + weight(key) + _ENTRY
