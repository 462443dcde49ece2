"""Classifies failed writes: whether the error is temporary, and which view refused.

There are three kinds of errors. *Passing* ones are temporary and retried with back-off, indefinitely. Those *about
rows* are caused by certain rows (`narrow.py` finds them), which go to quarantine. All others are *ours*: they are
logged loudly, nothing is dropped, and the write is retried too.
"""

from __future__ import annotations

import errno
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
# Errors of the operating system have no ClickHouse error name, or a general one, or that of a call. In others, these
# words may be a row's.
_OF_SYSTEM = re.compile(
    r"|(?:STD|POCO|UNKNOWN)_EXCEPTION|(?:SYSTEM|EPOLL)_ERROR|PATH_ACCESS_DENIED|(?:FILE|DIRECTORY)_\w+"
    r"|CANNOT_(?:ADVISE|APPEND_TO_FILE|CREATE_(?:FILE|IO_BUFFER)|F(?:CNTL|ORK|STAT)|IO\w+|LINK|M(?:REMAP|UNMAP|PROTECT)"
    r"|P(?:IPE|OLL)|READ_FROM_\w+|RMDIR|SELECT|STAT(?:VFS)?|UNLINK|WRITE_TO_\w+)"
)
_SYSTEM = re.compile(
    r"No space left on device|Input/output error|Too many open files|Cannot allocate memory"
    r"|Disk quota exceeded|Read-only file system|\berrno: \d+|std::bad_alloc"
)
_FULL = re.compile(r"No space left on device|Disk quota exceeded")
# For a chain of views, all are named, first the one that refused.
_VIEW = re.compile(r"(?s)^(?P<reason>.*?)(?::|,)? while pushing to view `?[^`\s.]+`?\.`?(?P<view>[^`\s.:]+)`?")
# Context that means nothing to a caller: the tables ClickHouse worked on.
_CONTEXT = re.compile(r"(?s)(?:: |\. )?(?:[Ww]hile executing|In scope|while processing|while converting) .*$")


def is_passing(error: Exception) -> bool:
    """Return whether the same write may succeed later: no memory, a full disk, too many parts."""
    if isinstance(error, EngineError):
        return error.name in _PASSING or _is_of_system(error, _SYSTEM)
    return isinstance(error, OSError | sqlite3.OperationalError)  # the disk, also the catalog's


def is_disk_full(error: Exception) -> bool:
    """Return whether the disk had no space: for ClickHouse, for the catalog, or for a file of ours."""
    if isinstance(error, EngineError):
        return error.name == "NOT_ENOUGH_SPACE" or _is_of_system(error, _FULL)
    if isinstance(error, sqlite3.OperationalError):
        return getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


def _is_of_system(error: EngineError, words: re.Pattern[str]) -> bool:
    told = error.name in _PASSING or _OF_SYSTEM.fullmatch(error.name) is not None
    return told and words.search(error.message) is not None


def refusing_view(error: EngineError) -> str:
    """Return the physical name of the view in which an insert failed; '' if it was the table itself."""
    match = _VIEW.match(error.message)
    return match["view"] if match else ""


def reason_of(error: EngineError) -> str:
    """Return ClickHouse's reason without the names of the tables and views involved."""
    match = _VIEW.match(error.message)
    text = match["reason"] if match else error.message
    return _CONTEXT.sub("", text).strip().rstrip(".:") or error.message
