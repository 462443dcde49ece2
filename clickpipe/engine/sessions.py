"""Imports chdb's session type, and clears what a failed query leaves in a session."""

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
    """Set an environment variable within the block, as ClickHouse reads the environment at start; None leaves it."""
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
    """Import chdb and return its session type, with UTC as its time zone (as on Tinybird), whatever the machine's is.

    Keeps chdb from importing pyarrow: it is slow, and only Arrow results need it.
    """
    absent = "pyarrow" not in sys.modules
    if absent:
        sys.modules["pyarrow"] = None  # type: ignore[assignment]  # makes Python treat the module as missing
    try:
        with environment("TZ", "UTC"):
            from chdb.session import Session
    finally:
        time.tzset()  # restores Python's own time zone
        if absent:
            del sys.modules["pyarrow"]
    return Session


def forget_output(session: Any) -> None:
    """Discard what a failed query had already output: the session would prepend it to the next result."""
    with contextlib.suppress(Exception):
        session.query("SELECT 1", "Null")


def default_workers() -> int:
    """Return the default number of concurrent queries: one per core, at least 4."""
    return max(DEFAULT_WORKERS, os.cpu_count() or 1)
