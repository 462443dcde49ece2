"""What comes of a query."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass

from clickpipe.engine import QueryResult

_ENTRY = 1_000  # bytes beside the result's own


@dataclass(frozen=True, slots=True)
class Answer:
    """A query's result; `etag` names it where it may be kept, `age` is in seconds, `source` HIT, MISS or SHARED.

    `unmodified`: the caller has it, and `result` is empty.
    """

    result: QueryResult
    etag: str = ""
    age: float = 0.0
    source: str = ""
    unmodified: bool = False


Started = Answer | Future[Answer]


@dataclass(frozen=True, slots=True)
class Kept:
    """A result, the name it has, since when it is kept, and for how many seconds."""

    result: QueryResult
    etag: str
    at: float
    keep: float

    @property
    def size(self) -> int:
        """Return the bytes it takes."""
        return len(self.result.body) + _ENTRY
