"""chdb's sessions: how its module is imported, and what a failed query leaves in one."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from clickpipe.engine.protocol import NOTHING

DEFAULT_WORKERS = 4
NO_TABLES = (f"CREATE DATABASE IF NOT EXISTS {NOTHING} ENGINE = Memory", f"USE {NOTHING}")


@contextlib.contextmanager
def environment(name: str, value: str | None) -> Iterator[None]:
    """Have ClickHouse, which asks the environment while it starts, see another value there; None is as it is."""
    before = os.environ.get(name)
    if value is not None:
        os.environ[name] = value
    try:
        yield
    finally:
        if value is not None:
            os.environ.pop(name)
            if before is not None:
                os.environ[name] = before


def session_type() -> Any:
    """Import chdb, with UTC as the time zone of all its processing, as on the original, whatever the machine's is.

    Without pyarrow, which it would import for Arrow results: nothing here asks for them.
    """
    absent = "pyarrow" not in sys.modules
    if absent:
        sys.modules["pyarrow"] = None  # type: ignore[assignment]  # how Python is told that a module is not there
    try:
        with environment("TZ", "UTC"):
            from chdb.session import Session
    finally:
        time.tzset()  # Python's own zone is what it was
        if absent:
            del sys.modules["pyarrow"]
    return Session


def forget_output(session: Any) -> None:
    """Take what a failed query had already put out: the session would give it with the next query's result."""
    with contextlib.suppress(Exception):
        session.query("SELECT 1", "Null")


def default_workers() -> int:
    """Return how many queries run at once unless a setting says otherwise: one for each core, at least 4."""
    return max(DEFAULT_WORKERS, os.cpu_count() or 1)
