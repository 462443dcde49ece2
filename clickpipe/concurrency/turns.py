"""Turns: of each owner's threads, one goes on at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_AGAIN = 0.1  # seconds between looks whether it is one's turn


class Turns:
    """Lets each owner do one thing at a time; its others wait for that one."""

    def __init__(self) -> None:
        """Start with nobody's."""
        self._busy: set[str] = set()
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, owner: str, check: Callable[[], None]) -> Iterator[None]:
        """Wait for the owner's turn, and keep it within the block; `check` may raise while it waits."""
        with self._changed:
            while owner in self._busy:
                check()
                self._changed.wait(_AGAIN)
            self._busy.add(owner)
        try:
            yield
        finally:
            with self._changed:
                self._busy.discard(owner)
                self._changed.notify_all()
