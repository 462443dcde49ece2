"""A result that is too large to hold: its first bytes, and the rest as it is read.

chdb gives a result in parts, each a document of the format by itself. Put one behind another they are one document in
formats of rows without a frame; those with a header repeat it, which is taken off here. JSON and Parquet are no such
formats: their results are held whole (and bounded by `max_result_bytes`).
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from clickpipe.engine.protocol import EngineError, Parts, QueryResult

_TABS = ("TSV", "TabSeparated")
_HEADED = frozenset({"CSVWithNames", *(f"{tabs}WithNames" for tabs in _TABS)})
_STREAMED = _HEADED | {"CSV", *_TABS, *(f"{tabs}Raw" for tabs in _TABS)}
_STREAMED |= {f"JSON{form}EachRow" for form in ("", "Compact", "Strings", "CompactStrings")}
_AHEAD = 2  # parts that are read before the client took those before
_PATIENCE = 60.0  # seconds for which a query waits for a client that takes nothing
_BEHIND = re.compile(r"\b(?:totals|extremes)\b", re.IGNORECASE)
_HEADER = re.compile(rb'(?:[^"\n]|"[^"]*")*\n')  # of CSV: a name in quotes may hold line breaks


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a result, its rows in them, rows and bytes read from tables for them."""

    data: bytes
    rows: int
    rows_read: int
    bytes_read: int


class Held:
    """The parts of a result that are held, and what it took to make them."""

    def __init__(self) -> None:
        """Begin to count time."""
        self._parts: list[Part] = []
        self._began = time.perf_counter()

    def fill(self, parts: Iterator[Part], most: float = float("inf")) -> bool:
        """Take parts until they have more than `most` bytes; tell whether they have."""
        size = 0
        for part in parts:
            self._parts.append(part)
            size += len(part.data)
            if size > most:
                return True
        return False

    def needs_header(self, output: str) -> bool:
        """Tell whether it is a document without the header that its format has."""
        return not self._parts and output in _HEADED

    def result(self, more: Parts | None = None) -> QueryResult:
        """Return them as one, with what comes behind them."""
        read = sum(part.rows_read for part in self._parts), sum(part.bytes_read for part in self._parts)
        body = b"".join(part.data for part in self._parts)
        return QueryResult(body, *read, time.perf_counter() - self._began, sum(part.rows for part in self._parts), more)


class Stream:
    """Parts of a result, made by one thread and taken by another; making waits for taking."""

    def __init__(self, patience: float = _PATIENCE) -> None:
        """Start with nothing in it; after `patience` seconds in which nothing is taken the rest is not wanted."""
        self._parts: deque[bytes | None] = deque()
        self._error: EngineError | None = None
        self._closed = False
        self._patience = patience
        self._changed = threading.Condition()

    def put(self, part: bytes | None) -> bool:
        """Add a part, or None for the end, when there is room; tell whether anybody still wants it."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._parts) < _AHEAD or self._closed, self._patience):
                self._error = EngineError(f"the client took nothing for {self._patience:g} s")
                self._closed = True
            if not self._closed:
                self._parts.append(part)
            self._changed.notify_all()
            return not self._closed

    def pour(self, parts: Iterator[Part]) -> None:
        """Add all parts, and the end, as long as somebody wants them."""
        if all(self.put(part.data) for part in parts):
            self.put(None)

    def fail(self, error: EngineError) -> None:
        """End it with an error, behind the parts that are in it."""
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def take(self) -> bytes | None:
        """Return the next part, None at the end. Blocks. Raises EngineError."""
        with self._changed:
            self._changed.wait_for(lambda: self._parts or self._closed or self._error)
            part = self._parts.popleft() if self._parts else None
            self._changed.notify_all()
            if part is None and self._error is not None:
                raise self._error
            return part

    def close(self) -> None:
        """Want no more of it."""
        with self._changed:
            self._closed = True
            self._parts.clear()
            self._changed.notify_all()


def streams(sql: str, output: str) -> bool:
    """Tell whether a query's result can be had in parts: what comes behind the rows in text formats is lost then."""
    return output in _STREAMED and (output.startswith("JSON") or not _BEHIND.search(sql))


def parts_of(result: Any, output: str) -> Iterator[Part]:
    """Yield the parts of chdb's streaming result, a header once.

    Rows read are those until the last row of the result was found: chdb does not tell of those behind it.
    """
    header: bytes | None = None
    for part in result:
        data = part.bytes() or b""
        if output in _HEADED:
            if header is None:
                found = _HEADER.match(data) if output.startswith("CSV") else None
                header = found[0] if found else data[: data.find(b"\n") + 1]
            else:
                data = data.removeprefix(header)
        yield Part(data, part.rows_read(), part.storage_rows_read(), part.storage_bytes_read())
