"""Rate limits per data source, token, address or endpoint: token buckets that hold one second's worth."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from clickpipe.diagnostics import ClickpipeError

_KEYS = 10_000  # buckets to remember


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class RateLimit:
    """A rate limit per key, with bursts of up to one second's worth."""

    def __init__(self, what: str, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Allow `per_second` (0: no limit); `what` is the name in error messages."""
        self._what = what
        self._rate = per_second
        self._clock = clock
        self._buckets: dict[object, _Bucket] = {}
        self._lock = threading.Lock()

    def take(self, key: object, amount: int = 1, per_second: int = 0) -> dict[str, str]:
        """Take an amount; return headers that say how much is left. `per_second` overrides the rate for this key.

        Raises ClickpipeError 429, with Retry-After, if not enough is left. A single amount above the limit is allowed
        if the bucket is full.
        """
        rate = per_second or self._rate
        if not rate:
            return {}
        with self._lock:
            now = self._clock()
            bucket = self._buckets.get(key)
            if bucket is None:
                if len(self._buckets) >= _KEYS:  # drop full buckets: they hold no information
                    self._buckets = {k: b for k, b in self._buckets.items() if now - b.at < 1.0}
                bucket = self._buckets[key] = _Bucket(rate, now)
            bucket.left = min(float(rate), bucket.left + (now - bucket.at) * rate)
            bucket.at = now
            if amount > bucket.left and bucket.left < rate:
                wait = (min(amount, rate) - bucket.left) / rate
                headers = {**_headers(bucket, rate), "Retry-After": str(max(1, round(wait + 0.5)))}
                message = f"More than {rate} {self._what} a second. Please send it again in {wait:.1f} s."
                raise ClickpipeError(message, status=429, code="rate_limited", headers=headers)
            bucket.left -= amount
            return _headers(bucket, rate)


def _headers(bucket: _Bucket, rate: int) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": str(rate),
        "X-RateLimit-Remaining": str(max(0, int(bucket.left))),
        "X-RateLimit-Reset": "1",
    }
