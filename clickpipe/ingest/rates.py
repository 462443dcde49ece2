"""How many requests and bytes a second each data source takes: token buckets of one second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from clickpipe.diagnostics import ClickpipeError


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class RateLimit:
    """A limit for each key: so much of something a second, no more saved up than that."""

    def __init__(self, what: str, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Allow `per_second` (0: any) of `what`, as messages call it."""
        self._what = what
        self._rate = per_second
        self._clock = clock
        self._buckets: dict[object, _Bucket] = {}
        self._lock = threading.Lock()

    def take(self, key: object, amount: int = 1) -> dict[str, str]:
        """Count an amount; return headers that tell how much is left.

        Raises ClickpipeError 429, with Retry-After, when the second has had enough; a single larger amount is let
        through when nothing else was in it.
        """
        if not self._rate:
            return {}
        with self._lock:
            now = self._clock()
            bucket = self._buckets.setdefault(key, _Bucket(self._rate, now))
            bucket.left = min(float(self._rate), bucket.left + (now - bucket.at) * self._rate)
            bucket.at = now
            if amount > bucket.left and bucket.left < self._rate:
                wait = (min(amount, self._rate) - bucket.left) / self._rate
                headers = {**self._headers(bucket), "Retry-After": str(max(1, round(wait + 0.5)))}
                message = f"More than {self._rate} {self._what} a second. Please send it again in {wait:.1f} s."
                raise ClickpipeError(message, status=429, code="rate_limited", headers=headers)
            bucket.left -= amount
            return self._headers(bucket)

    def _headers(self, bucket: _Bucket) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(self._rate),
            "X-RateLimit-Remaining": str(max(0, int(bucket.left))),
            "X-RateLimit-Reset": "1",
        }
