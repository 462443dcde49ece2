"""Tracks on whose behalf a thread starts statements, so that no owner takes more than its share of engine threads.

A workspace and its previews are one owner.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_owner: ContextVar[str] = ContextVar("owner", default="")
_asker: ContextVar[str] = ContextVar("asker", default="")
_caller: ContextVar[Hashable] = ContextVar("caller", default=None)


def owner() -> str:
    """Return the owner of statements started here; '' for the server's own and for those limited elsewhere."""
    return _owner.get()


def asker() -> str:
    """Return who asked for the statements started here, even if their threads are limited elsewhere."""
    return _asker.get() or _owner.get()


def caller() -> Hashable:
    """Return the token whose own SQL the statements started here are, or None."""
    return _caller.get()


def work_for(name: str) -> None:
    """Make `name` the owner of statements from now on, in this thread or request."""
    _owner.set(name)


@contextmanager
def working_for(name: str, asked_by: str = "", caller: Hashable = None) -> Iterator[None]:
    """Within this block, statements belong to `name`.

    `asked_by` says who asked for them if it is someone else; `caller` is the token, if they are its own SQL.
    """
    tokens = _owner.set(name), _asker.set(asked_by), _caller.set(caller)
    try:
        yield
    finally:
        _owner.reset(tokens[0])
        _asker.reset(tokens[1])
        _caller.reset(tokens[2])
