"""Whose statements a thread starts: an owner takes no more of the engine's threads than it leaves to others.

A workspace and its previews are one owner.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_owner: ContextVar[str] = ContextVar("owner", default="")
_asker: ContextVar[str] = ContextVar("asker", default="")


def owner() -> str:
    """Return whose statements are started here; '' for the server's own, and those that are bounded otherwise."""
    return _owner.get()


def asker() -> str:
    """Return who asked for the statements that are started here, also where their threads are bounded otherwise."""
    return _asker.get() or _owner.get()


def work_for(name: str) -> None:
    """Start statements of this owner from now on: in this thread, or this request."""
    _owner.set(name)


@contextmanager
def working_for(name: str, asked_by: str = "") -> Iterator[None]:
    """Within, statements are of this owner; `asked_by` tells who asked for them, where that is another."""
    tokens = _owner.set(name), _asker.set(asked_by)
    try:
        yield
    finally:
        _owner.reset(tokens[0])
        _asker.reset(tokens[1])
