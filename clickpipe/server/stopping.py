"""Bounds how long a stop takes: an orchestrator kills what goes on for longer, at a moment of its own choice."""

from __future__ import annotations

import logging
import os
import sys
import threading
from types import TracebackType
from typing import NoReturn, Self

_LOGGER = logging.getLogger(__name__)
_FOR_REQUESTS = 0.4  # of the time: the rest is for jobs, readers and inserts
_MOST_FOR_REQUESTS = 10.0


class StopLimit:
    """Ends the process some seconds after its stop began, unless it has ended by then.

    Nothing acknowledged is lost by that: it is in the write-ahead log, and the next start goes on from there, as it
    does after a kill. Use it as a context around all that the process closes.
    """

    def __init__(self, seconds: float, *, restarts: bool = False) -> None:
        """Set the time (0: no limit); `restarts` if the process may start itself again."""
        self.seconds = seconds
        self._restarts = restarts
        self._begun, self._over = threading.Event(), threading.Event()

    @property
    def for_requests(self) -> float:
        """Return the seconds that requests under way have to end."""
        return min(_MOST_FOR_REQUESTS, self.seconds * _FOR_REQUESTS) if self.seconds else _MOST_FOR_REQUESTS

    def start(self, *, again: bool = False) -> None:
        """Begin to count, once. `again` if the process stops to be restarted."""
        if self.seconds and not self._begun.is_set():
            self._begun.set()
            threading.Thread(target=self._end, args=(again and self._restarts,), name="stop-limit", daemon=True).start()

    def _end(self, again: bool) -> None:  # noqa: FBT001 - a thread's
        if self._over.wait(self.seconds):
            return
        _LOGGER.warning(
            "stopped after %g s (stop_seconds) with work under way: the next start goes on with it", self.seconds
        )
        if again:
            restart()
        leave()

    def __enter__(self) -> Self:
        """Return the limit; the process may run for as long as it wants before `start`."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop counting: everything is closed."""
        self._over.set()


def leave() -> NoReturn:
    """End the process at once, without waiting for threads."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def restart() -> NoReturn:
    """Replace the process by a new one of the same command."""
    os.execv(sys.executable, [sys.executable, "-m", "clickpipe", *sys.argv[1:]])  # noqa: S606 - ourselves
