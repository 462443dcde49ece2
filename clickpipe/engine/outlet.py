"""Where a query's result comes out: a pipe that ClickHouse writes to while it makes the result.

chdb would give a result as one string, several times its size in memory, and none of ClickHouse's limits holds for it:
a constant takes no room in the engine and gigabytes as text. What comes through a pipe can be counted, sent on, or kept
in a file, as it comes; and ClickHouse waits while nobody takes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import replace
from pathlib import Path

from clickpipe.engine.protocol import EngineError, QueryResult
from clickpipe.engine.stream import Stream
from clickpipe.engine.workers import Task

_TABS = ("TSV", "TabSeparated")
# Formats of rows without a frame: what is there of a result is of use before the rest is known to come.
_IN_PARTS = frozenset({"CSV", "CSVWithNames", *_TABS})
_IN_PARTS |= {f"{tabs}{more}" for tabs in _TABS for more in ("WithNames", "Raw")}
_IN_PARTS |= {f"JSON{form}EachRow" for form in ("", "Compact", "Strings", "CompactStrings")}
_HELD = 16 << 20  # bytes of another result that are held in memory; the rest lies in a file
_READ = 1 << 20
_LOOK_AGAIN = 0.05  # seconds: whether a query has ended that left its end of the pipe open
_BEHIND = (". Unmatched parentheses:", ". Expected one of:")  # what a syntax error says behind the statement's text

SoFar = Callable[[], QueryResult]


class Outlet:
    """Takes one result from a pipe, in a thread of its own, and keeps a promise with it.

    The promise is kept as soon as there are more than `most` bytes, where the format can be sent in parts and
    `may_send` allows it (`sends` tells so then); else at the end of the query.
    """

    def __init__(
        self,
        promise: Future[QueryResult],
        output: str,
        most: int,
        folder: Path | None,
        may_send: Callable[[], bool],
        so_far: SoFar,
        stop: Callable[[], None],
        task: Task | None = None,
    ) -> None:
        """Open the pipe; `so_far` tells what was read for the parts that are sent first, `stop` ends the query.

        `task` counts the time that ClickHouse takes for a part, not what a client takes to read it.
        """
        self._task = task
        self._promise, self._output, self._most = promise, output, most
        self._folder, self._may_send, self._so_far, self._stop = folder, may_send, so_far, stop
        self._held: list[bytes] = []
        self._size = 0
        self._stream: Stream | None = None
        self._ended = threading.Event()
        self._over: Future[None] = Future()
        self._given_up = False
        self._too_large: EngineError | None = None
        self.sends = False
        self._reading_end, self._writing_end = os.pipe()
        with contextlib.suppress(OSError, AttributeError):  # only Linux has it; and not for too many pipes at once
            fcntl.fcntl(self._writing_end, fcntl.F_SETPIPE_SZ, _READ)  # fewer turns of writing and reading

    @property
    def clause(self) -> str:
        """Return what the statement ends with."""
        return f"\nINTO OUTFILE '/dev/fd/{self._writing_end}' APPEND FORMAT {self._output}"

    def told(self, error: EngineError, sql: str) -> EngineError:
        """Return the error of a statement without what it ends with: that is nothing of its author's."""
        if error.offset is not None and error.offset >= len(sql.encode()):
            error.message = "Syntax error: the query ends where more is expected, as behind a comma"
        start = error.message.find("INTO OUTFILE '/dev/fd/")
        if start >= 0:
            ends = (error.message.find(behind, start) for behind in _BEHIND)
            end = next((at for at in ends if at >= 0), len(error.message))
            error.message = error.message[:start].rstrip() + error.message[end:]
        return error

    def read(self) -> None:
        """Take what comes until the query has ended; read on when nobody wants more of it.

        A pipe that is closed before would look like a disk that takes nothing (`damage.py`).
        """
        wanted = True
        try:
            while self._waits() and (part := os.read(self._reading_end, _READ)):
                if not wanted:
                    continue
                if self._task is not None:
                    self._task.rest()
                if not self._take(part):
                    wanted = False
                    self._stop()
                if self._task is not None:
                    self._task.go_on()
        finally:
            os.close(self._reading_end)

    def _waits(self) -> bool:
        """Wait for more; tell whether there is any, or its end. Behind an error ClickHouse may leave the pipe open."""
        waiting = select.poll()
        waiting.register(self._reading_end, select.POLLIN | select.POLLHUP)
        while not waiting.poll(_LOOK_AGAIN * 1000):
            if self._ended.is_set():
                return bool(waiting.poll(0))
        return True

    def _take(self, part: bytes) -> bool:
        """Tell whether more is wanted."""
        if self._stream is not None:
            if not self.sends and self._stream.is_full:
                message = "the result is too large to be held: ask for ndjson or csv, which are sent in parts"
                self._too_large = EngineError(f"Code: 396. DB::Exception: {message}. (TOO_MANY_ROWS_OR_BYTES)")
                return False
            return self._stream.put(part)
        self._held.append(part)
        self._size += len(part)
        if self._size > self._most and self._output in _IN_PARTS and self._may_send():
            self.sends = True
            self._stream = Stream(folder=self._folder)
            found = self._so_far()
            rows = sum(one.count(b"\n") for one in self._held)
            body = b"".join(self._held)
            self._promise.set_result(replace(found, body=body, rows=rows, more=self._stream, ended=self._over))
        elif self._size > max(_HELD, self._most):
            self._stream = Stream(folder=self._folder)
        return True

    def close(self) -> None:
        """Tell that the query has ended: nothing more is written."""
        self._ended.set()
        os.close(self._writing_end)

    def succeed(self, found: QueryResult) -> None:
        """Keep the promise, of a query that read and took what `found` tells, when all is read."""
        if self._too_large is not None:
            self.fail(self._too_large)
            return
        if self._stream is not None:
            self._stream.put(None)
        if not self.sends and not self._given_up:
            body = b"".join(self._held)
            result = QueryResult(body, found.rows_read, found.bytes_read, found.elapsed, found.rows, self._stream)
            self._promise.set_result(result)

    def give_up(self, error: EngineError) -> None:
        """Have the promise raise an error, as `fail` does, while the query goes on: it is read no more."""
        if not self._ended.is_set():
            self.fail(error)
            self._given_up = True
            self._ended.set()
            self.leave()

    def leave(self) -> None:
        """Tell that the query runs no more, or was given up."""
        with contextlib.suppress(InvalidStateError):
            self._over.set_result(None)

    def fail(self, error: EngineError) -> None:
        """Have the promise, or who takes its result, raise an error."""
        if self._given_up:
            return
        if self.sends and self._stream is not None:
            self._stream.fail(error)
            return
        if self._stream is not None:
            self._stream.close()
        self._promise.set_exception(self._too_large or error)


def comes_out(sql: str) -> bool:
    """Tell whether a statement's result can come out of an outlet."""
    return not sql.startswith(("EXPLAIN", "DESCRIBE"))
