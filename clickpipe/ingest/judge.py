"""What a failed write means: whether it passes by itself, and which view refused.

Errors are of three kinds. A *passing* one is retried with back-off, without end. One *about rows* is that which
some of the rows provoke on their own (`narrow.py` finds them): these go to quarantine. Anything else is *ours*: it is
told loudly, nothing is dropped, and the write is retried too.
"""

from __future__ import annotations

import re
import sqlite3

from clickpipe.engine import EngineError

Failure = (EngineError, OSError)

_PASSING = frozenset(
    {
        "ABORTED",
        "CANNOT_ALLOCATE_MEMORY",
        "CANNOT_CLOSE_FILE",
        "CANNOT_CREATE_DIRECTORY",
        "CANNOT_FSYNC",
        "CANNOT_MMAP",
        "CANNOT_OPEN_FILE",
        "CANNOT_PTHREAD_CREATE",
        "CANNOT_READ_FROM_FILE_DESCRIPTOR",
        "CANNOT_SCHEDULE_TASK",
        "CANNOT_SEEK_THROUGH_FILE",
        "CANNOT_TRUNCATE_FILE",
        "CANNOT_WRITE_TO_FILE_DESCRIPTOR",
        "DEADLOCK_AVOIDED",
        "MEMORY_LIMIT_EXCEEDED",
        "NETWORK_ERROR",
        "NOT_ENOUGH_SPACE",
        "QUERY_WAS_CANCELLED",
        "SOCKET_TIMEOUT",
        "TABLE_IS_READ_ONLY",
        "TIMEOUT_EXCEEDED",
        "TOO_MANY_PARTS",
        "TOO_MANY_SIMULTANEOUS_QUERIES",
    }
)
# What the operating system says comes without a name of ClickHouse's, or under that of any exception.
_SYSTEM = re.compile(
    r"No space left on device|Input/output error|Too many open files|Cannot allocate memory"
    r"|Disk quota exceeded|Read-only file system|\berrno: \d+|std::bad_alloc"
)
# Of a view behind the target of another, both are named: the one that refused first.
_VIEW = re.compile(r"(?s)^(?P<reason>.*?)(?::|,)? while pushing to view `?[^`\s.]+`?\.`?(?P<view>[^`\s.:]+)`?")
# The tables that ClickHouse worked on mean nothing to a caller.
_CONTEXT = re.compile(r"(?s)(?:: |\. )?(?:[Ww]hile executing|In scope|while processing|while converting) .*$")


def is_passing(error: Exception) -> bool:
    """Tell whether a write may succeed later as it is: no memory, a full disk, too many parts."""
    if isinstance(error, EngineError):
        return error.name in _PASSING or _SYSTEM.search(error.message) is not None
    return isinstance(error, OSError | sqlite3.OperationalError)  # the disk, also under the catalog


def refusing_view(error: EngineError) -> str:
    """Return the physical name of the view that an insert failed in; '' when it was the table itself."""
    match = _VIEW.match(error.message)
    return match["view"] if match else ""


def reason_of(error: EngineError) -> str:
    """Return what ClickHouse says of the values, without the names of tables and views that it was busy with."""
    match = _VIEW.match(error.message)
    text = match["reason"] if match else error.message
    return _CONTEXT.sub("", text).strip().rstrip(".:") or error.message
