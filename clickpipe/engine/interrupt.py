"""Ending what a thread waits for: a deployment that is cancelled does not wait for its statement."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_interrupt: ContextVar[threading.Event | None] = ContextVar("interrupt", default=None)


@contextmanager
def interrupted_by(event: threading.Event) -> Iterator[None]:
    """Within, a statement that is waited for ends when `event` is set: one, so that what was begun can be undone."""
    token = _interrupt.set(event)
    try:
        yield
    finally:
        _interrupt.reset(token)


def interruption() -> threading.Event | None:
    """Return what ends the statements that this thread waits for."""
    return _interrupt.get()


def interrupted() -> None:
    """Say that a statement was ended: the next ones are not."""
    _interrupt.set(None)
