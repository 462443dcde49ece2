"""A result that is too large to hold: its first bytes, and the rest as it is read.

chdb gives a result in parts, each a document of the format by itself. Put one behind another they are one document in
formats of rows without a frame; those with a header repeat it, which is taken off here. JSON and Parquet are no such
formats: their results are held whole (and bounded by `max_result_bytes`).
"""

from __future__ import annotations

import re
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from clickpipe.engine.protocol import EngineError, Parts, QueryResult

_TABS = ("TSV", "TabSeparated")
_HEADED = frozenset({"CSVWithNames", *(f"{tabs}WithNames" for tabs in _TABS)})
_STREAMED = _HEADED | {"CSV", *_TABS, *(f"{tabs}Raw" for tabs in _TABS)}
_STREAMED |= {f"JSON{form}EachRow" for form in ("", "Compact", "Strings", "CompactStrings")}
_AHEAD = 2  # parts in memory that the client has not taken
_IN_FILE = 1 << 30  # bytes in a file that it has not taken
_END = -1
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
    """Parts of a result, made by one thread and taken by another.

    What a slow client has not taken lies in a file, so that the query ends in its own time: its limit of seconds is no
    limit of a download. Only when very much lies there, making waits for taking.
    """

    def __init__(self, patience: float = _PATIENCE, folder: Path | None = None) -> None:
        """Start with nothing in it; the file is made in `folder`.

        After `patience` seconds of waiting for a client that takes nothing, the rest is not wanted.
        """
        self._parts: deque[bytes | None] = deque()
        self._file: IO[bytes] | None = None
        self._sizes: deque[int] = deque()  # of the parts in the file
        self._read = self._written = 0
        self._error: EngineError | None = None
        self._closed = False
        self._patience = patience
        self._folder = folder
        self._changed = threading.Condition()

    def put(self, part: bytes | None) -> bool:
        """Add a part, or None for the end; tell whether anybody still wants it. Raises OSError for a full disk."""
        with self._changed:
            if not self._changed.wait_for(self._has_room, self._patience):
                self._error = EngineError(f"the client took nothing for {self._patience:g} s")
                self._closed = True
            if not self._closed:
                self._add(part)
            self._changed.notify_all()
            return not self._closed

    def _has_room(self) -> bool:
        return self._closed or self._written - self._read < _IN_FILE

    def _add(self, part: bytes | None) -> None:
        if not self._sizes and (part is None or len(self._parts) < _AHEAD):
            self._parts.append(part)
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed with the stream
        self._sizes.append(_END if part is None else len(part))
        if part:
            self._file.seek(self._written)
            self._file.write(part)
            self._written += len(part)

    def _next(self) -> bytes | None:
        if self._parts:
            return self._parts.popleft()
        if not self._sizes or (size := self._sizes.popleft()) == _END:
            return None
        assert self._file is not None  # noqa: S101 - its parts have sizes
        self._file.seek(self._read)
        self._read += size
        return self._file.read(size)

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
            self._changed.wait_for(lambda: self._parts or self._sizes or self._closed or self._error)
            part = self._next()
            if part is None and self._file is not None:
                self._file.close()
            self._changed.notify_all()
            if part is None and self._error is not None:
                raise self._error
            return part

    def close(self) -> None:
        """Want no more of it."""
        with self._changed:
            self._closed = True
            self._parts.clear()
            self._sizes.clear()
            if self._file is not None:
                self._file.close()
            self._changed.notify_all()


def streams(sql: str, output: str) -> bool:
    """Tell whether a query's result can be had in parts: what comes behind the rows in text formats is lost then."""
    if sql.startswith(("EXPLAIN", "DESCRIBE")):
        return False
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
