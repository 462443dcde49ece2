"""What is decided of the parts of a file, so that doing it again is the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from clickpipe.ingest.narrow import Narrowed


class Decisions:
    """Which rows of a part are refused, by the token of its insert: durable before any row of the part is written."""

    def __init__(self, kept: Mapping[str, Any], told: Callable[[dict[str, Any]], None]) -> None:
        """Begin with what `as_dict` gave; `told` makes what it gives now durable."""
        self._narrowed = {token: Narrowed.of(one) for token, one in kept.items()}
        self._told = told
        self._lock = threading.Lock()

    def find(self, token: str) -> Narrowed | None:
        """Return what was decided."""
        return self._narrowed.get(token)

    def keep(self, token: str, narrowed: Narrowed) -> None:
        """Keep what is decided. Raises what `told` does: no row may be written then."""
        with self._lock:
            self._narrowed = {**self._narrowed, token: narrowed}
        self._told(self.as_dict())

    def check(self) -> None:
        """Raise what `told` does: it is not to be tried again."""
        self._told(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """Return it as a job's result has it."""
        return {token: one.as_dict() for token, one in self._narrowed.items()}
