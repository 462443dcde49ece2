"""The result of a query, as given to a caller and as cached."""

from __future__ import annotations

from dataclasses import dataclass

from clickpipe.engine import QueryResult

ENTRY = 1_000  # bytes of overhead per entry


@dataclass(frozen=True, slots=True)
class Answer:
    """A query's result. `etag` is set if it may be cached, `age` is in seconds, `source` is HIT, MISS, SHARED or ''.

    If `unmodified`, the caller has the result already, and `result` is empty. `rendered` is the seconds it took to
    render and check the SQL.
    """

    result: QueryResult
    etag: str = ""
    age: float = 0.0
    source: str = ""
    unmodified: bool = False
    rendered: float = 0.0


@dataclass(frozen=True, slots=True)
class Kept:
    """A cached result: its ETag, when it was stored (monotonic clock), and for how many seconds to keep it."""

    result: QueryResult
    etag: str
    at: float
    keep: float
    size: int  # bytes that it takes, with its key
