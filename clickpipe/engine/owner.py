"""Whose statements a thread starts: an owner takes no more of the engine's threads than it leaves to others.

A workspace and its previews are one owner.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_owner: ContextVar[str] = ContextVar("owner", default="")


def owner() -> str:
    """Return whose statements are started here; '' for the server's own, and those that are bounded otherwise."""
    return _owner.get()


def work_for(name: str) -> None:
    """Start statements of this owner from now on: in this thread, or this request."""
    _owner.set(name)


@contextmanager
def working_for(name: str) -> Iterator[None]:
    """Within, statements are of this owner."""
    token = _owner.set(name)
    try:
        yield
    finally:
        _owner.reset(token)
