"""The rest of a streamed result: closed, and its query cancelled, if nobody reads it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

from clickpipe.engine import Parts, QueryResult


class Rest:
    """The rest of a streamed result; closing it early calls `cancel`."""

    def __init__(self, parts: Parts, cancel: Callable[[], None]) -> None:
        """Read from `parts`."""
        self._parts = parts
        self._cancel = cancel
        self._is_over = False

    def take(self) -> bytes | None:
        """Return the next part; None at the end. Blocks. Raises EngineError."""
        part = self._parts.take()
        self._is_over = self._is_over or part is None
        return part

    def close(self) -> None:
        """Read no more."""
        self._parts.close()
        if not self._is_over:
            self._is_over = True
            self._cancel()


def close(result: QueryResult) -> None:
    """Close a streamed result that nobody will read."""
    if result.more is not None:
        result.more.close()


def close_unread(done: Future[QueryResult]) -> None:
    """Close the result of a query that nobody waits for any more."""
    if not done.cancelled() and done.exception() is None:
        close(done.result())
