"""Reads a query's result from a pipe that ClickHouse writes to as it produces it.

chdb would return a result as one string that takes several times its size in memory and escapes ClickHouse's limits: a
constant takes no room in the engine but gigabytes as text. Bytes from a pipe can be counted, sent on or put in a file
as they arrive, and ClickHouse waits while nobody reads.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import replace

from clickpipe.engine.protocol import EngineError, QueryResult
from clickpipe.engine.result_space import ResultSpace
from clickpipe.engine.stream import Stream
from clickpipe.engine.workers import Task

_TABS = ("TSV", "TabSeparated")
# Formats with rows only, no header or footer around them: a part is useful before the rest has arrived.
_IN_PARTS = frozenset({"CSV", "CSVWithNames", *_TABS})
_IN_PARTS |= {f"{tabs}{more}" for tabs in _TABS for more in ("WithNames", "Raw")}
_IN_PARTS |= {f"JSON{form}EachRow" for form in ("", "Compact", "Strings", "CompactStrings")}
_HELD = 16 << 20  # bytes of a result in any other format that stay in memory; the rest goes to a file
_READ = 1 << 20
_LOOK_AGAIN = 0.05  # seconds between checks for a query that ended and left its end of the pipe open
_BEHIND = (". Unmatched parentheses:", ". Expected one of:")  # what a syntax error says after quoting the statement

SoFar = Callable[[], QueryResult]


class Outlet:
    """Reads one result from a pipe, in a thread of its own, and resolves a future with it.

    The future is resolved as soon as more than `most` bytes have arrived, if the format can be sent in parts and
    `may_send` agrees (`sends` is true from then on); otherwise when the query ends.
    """

    def __init__(
        self,
        promise: Future[QueryResult],
        output: str,
        most: int,
        space: ResultSpace,
        may_send: Callable[[], bool],
        so_far: SoFar,
        stop: Callable[[], None],
        task: Task | None = None,
    ) -> None:
        """Open the pipe. `so_far` returns the query's statistics when sending begins; `stop` ends the query.

        `task` is the statement's clock: paused while parts are handed on, so that slow clients do not use up its time.
        """
        self._task = task
        self._promise, self._output, self._most = promise, output, most
        self._space, self._may_send, self._so_far, self._stop = space, may_send, so_far, stop
        self._held: list[bytes] = []
        self._size = 0
        self._stream: Stream | None = None
        self._ended = threading.Event()
        self._over: Future[None] = Future()
        self._given_up = False
        self._too_large: EngineError | None = None
        self.sends = False
        self._reading_end, self._writing_end = os.pipe()
        with contextlib.suppress(OSError, AttributeError):  # Linux only, and refused when there are too many pipes
            fcntl.fcntl(self._writing_end, fcntl.F_SETPIPE_SZ, _READ)  # fewer switches between writer and reader

    @property
    def clause(self) -> str:
        """Return the clause to append to the statement."""
        return f"\nINTO OUTFILE '/dev/fd/{self._writing_end}' APPEND FORMAT {self._output}"

    def told(self, error: EngineError, sql: str) -> EngineError:
        """Remove our clause from a statement's error message: its author did not write it."""
        if error.offset is not None and error.offset >= len(sql.encode()):
            error.message = "Syntax error: the query ends where more is expected, as behind a comma"
        start = error.message.find("INTO OUTFILE '/dev/fd/")
        if start >= 0:
            ends = (error.message.find(behind, start) for behind in _BEHIND)
            end = next((at for at in ends if at >= 0), len(error.message))
            error.message = error.message[:start].rstrip() + error.message[end:]
        return error

    def read(self) -> None:
        """Read until the query has ended, even if nobody wants the rest.

        Closing the pipe early would look to ClickHouse like a refused write, as on a full disk (`damage.py`).
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
        """Wait for data or the end; return False if the query ended but left the pipe open, as after an error."""
        waiting = select.poll()
        waiting.register(self._reading_end, select.POLLIN | select.POLLHUP)
        while not waiting.poll(_LOOK_AGAIN * 1000):
            if self._ended.is_set():
                return bool(waiting.poll(0))
        return True

    def _take(self, part: bytes) -> bool:
        """Handle a part; return whether more is wanted."""
        if self._stream is not None:
            if not self.sends and self._stream.is_full:
                message = "the result is too large to be held: ask for ndjson or csv, which are sent in parts"
                self._too_large = EngineError(f"Code: 396. DB::Exception: {message}. (TOO_MANY_ROWS_OR_BYTES)")
                return False
            if self._stream.put(part):
                return True
            if not self.sends:
                self._too_large = self._stream.error
            return False
        self._held.append(part)
        self._size += len(part)
        if self._size > self._most and self._output in _IN_PARTS and self._may_send():
            self.sends = True
            self._stream = Stream(self._space, self._task.asker if self._task is not None else "")
            found = self._so_far()
            rows = sum(one.count(b"\n") for one in self._held)
            body = b"".join(self._held)
            self._promise.set_result(replace(found, body=body, rows=rows, more=self._stream, ended=self._over))
        elif self._size > max(_HELD, self._most):
            self._stream = Stream(self._space, self._task.asker if self._task is not None else "")
        return True

    def close(self) -> None:
        """Note that the query has ended and writes nothing more."""
        self._ended.set()
        os.close(self._writing_end)

    def succeed(self, found: QueryResult) -> None:
        """Resolve the future once everything is read; `found` holds the query's statistics."""
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
        """Fail the future, as `fail` does, and stop reading although the query still runs."""
        if not self._ended.is_set():
            self.fail(error)
            self._given_up = True
            self._ended.set()
            self.leave()

    def leave(self) -> None:
        """Note that the query no longer runs, or was given up."""
        with contextlib.suppress(InvalidStateError):
            self._over.set_result(None)

    def fail(self, error: EngineError) -> None:
        """Raise an error from the future, or from the stream if sending has begun."""
        if self._given_up:
            return
        if self.sends and self._stream is not None:
            self._stream.fail(error)
            return
        if self._stream is not None:
            self._stream.close()
        self._promise.set_exception(self._too_large or error)


def comes_out(sql: str) -> bool:
    """Return whether a statement's result can be read through an outlet."""
    return not sql.startswith(("EXPLAIN", "DESCRIBE"))


def pass_on(done: Future[None], promise: Future[QueryResult], outlets: Sequence[Outlet]) -> None:
    """Pass a failed run's error on to the promise; cancelling the promise cancels nothing here."""
    error = done.exception() if not done.cancelled() else RuntimeError("the engine was closed")
    if isinstance(error, EngineError) and outlets:
        outlets[0].give_up(error)
    elif error is not None and not promise.done():
        promise.set_exception(error)
