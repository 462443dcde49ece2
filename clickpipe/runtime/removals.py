"""Workspaces on their way out, each in a thread of its own: one whose inserts never end holds nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable

_SECONDS = 10.0  # that the server's end waits for each: its next start goes on with it


class Removals:
    """Threads that remove. One caller at a time."""

    def __init__(self) -> None:
        """Remove nothing yet."""
        self._threads: list[threading.Thread] = []

    def start(self, remove: Callable[[], None]) -> None:
        """Remove something beside all else."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        self._threads.append(threading.Thread(target=remove, name="removal", daemon=True))
        self._threads[-1].start()

    def close(self) -> None:
        """Wait for what is removed, some seconds at most."""
        for thread in self._threads:
            thread.join(_SECONDS)
