"""Records decisions about a file's parts, so that repeating an import gives the same result."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from clickpipe.ingest.narrow import Narrowed


class Decisions:
    """The refused rows of each part, by its insert's token; durable before any row of the part is written."""

    def __init__(self, kept: Mapping[str, Any], told: Callable[[dict[str, Any]], None]) -> None:
        """Start with what `as_dict` returned earlier; `told` makes its current value durable."""
        self._narrowed = {token: Narrowed.of(one) for token, one in kept.items()}
        self._told = told
        self._lock = threading.Lock()

    def find(self, token: str) -> Narrowed | None:
        """Return the decision for a part, or None."""
        return self._narrowed.get(token)

    def keep(self, token: str, narrowed: Narrowed) -> None:
        """Record a decision durably. Raises what `told` raises; then no row may be written."""
        with self._lock:
            self._narrowed = {**self._narrowed, token: narrowed}
        self._told(self.as_dict())

    def check(self) -> None:
        """Raise what `told` raises, such as a cancellation, before another attempt."""
        self._told(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """Return all decisions as stored in a job's result."""
        return {token: one.as_dict() for token, one in self._narrowed.items()}
