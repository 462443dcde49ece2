"""Interrupts the statement a thread waits for, so that a cancelled deployment stops at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_interrupt: ContextVar[threading.Event | None] = ContextVar("interrupt", default=None)


@contextmanager
def interrupted_by(event: threading.Event) -> Iterator[None]:
    """Within this block, setting `event` ends the statement being waited for.

    Only one statement: those that follow undo what was begun, and must run.
    """
    token = _interrupt.set(event)
    try:
        yield
    finally:
        _interrupt.reset(token)


def interruption() -> threading.Event | None:
    """Return the event that ends the statement this thread waits for, or None."""
    return _interrupt.get()


def interrupted() -> None:
    """Note that a statement was ended, so that the next ones are not."""
    _interrupt.set(None)
