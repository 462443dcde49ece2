"""Passes a result that is too large to hold from the thread that reads it to the one that sends it."""

from __future__ import annotations

import threading
from collections import deque
from typing import IO

from clickpipe.engine.protocol import EngineError
from clickpipe.engine.result_space import ResultSpace

_AHEAD = 2  # untaken parts kept in memory
_IN_FILE = 1 << 30  # untaken bytes kept in a file
_END = -1
_DROPPED = "the result was dropped: results that clients have not taken yet need too much room on the disk"
_PATIENCE = 60.0  # seconds that a query waits for a client that reads nothing


class Stream:
    """Parts of a result, put by one thread and taken by another.

    Parts that a slow client has not taken go to a file, so the query can finish: its time limit does not limit the
    download. Only when the file is large does `put` wait for `take`.
    """

    def __init__(self, space: ResultSpace | None = None, owner: str = "", patience: float = _PATIENCE) -> None:
        """Start empty; a file takes room in `space`, for the workspace `owner`.

        After `patience` seconds of waiting for a client that takes nothing, the stream closes.
        """
        self.owner = owner
        self._space = space or ResultSpace()
        self._parts: deque[bytes | None] = deque()
        self._file: IO[bytes] | None = None
        self._sizes: deque[int] = deque()  # sizes of the parts in the file
        self._read = self._written = 0
        self._error: EngineError | None = None
        self._closed = False
        self._patience = patience
        self._changed = threading.Condition()

    def put(self, part: bytes | None) -> bool:
        """Add a part, or None for the end; return whether more is wanted. Raises OSError if the disk is full."""
        with self._changed:
            if not self._changed.wait_for(self._has_room, self._patience):
                self._error = EngineError(f"the client took nothing for {self._patience:g} s")
                self._closed = True
            before = self._written
            if not self._closed:
                self._add(part)
            size = self._written
            self._changed.notify_all()
        if size > before:
            self._space.keep(self, size)
            if self.is_closed:  # meanwhile, and forgotten too early
                self._space.forget(self)
        return not self.is_closed

    def _has_room(self) -> bool:
        return self._closed or self._written - self._read < _IN_FILE

    def _add(self, part: bytes | None) -> None:
        if not self._sizes and (part is None or len(self._parts) < _AHEAD):
            self._parts.append(part)
            return
        if self._file is None:
            self._file = self._space.file()
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
        part = self._file.read(size)
        if self._read == self._written:  # all taken: its room is free again
            self._file.truncate(0)
            self._read = self._written = 0
            self._space.forget(self)
        return part

    @property
    def is_closed(self) -> bool:
        """Return whether nothing more is wanted."""
        return self._closed

    @property
    def error(self) -> EngineError | None:
        """Return why the stream ended early."""
        return self._error

    @property
    def is_full(self) -> bool:
        """Return whether the next `put` would have to wait."""
        with self._changed:
            return not self._has_room()

    def fail(self, error: EngineError) -> None:
        """End the stream with an error, after the parts already in it."""
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def take(self) -> bytes | None:
        """Return the next part, or None at the end. Blocks. Raises EngineError."""
        with self._changed:
            self._changed.wait_for(lambda: self._parts or self._sizes or self._closed or self._error)
            part = self._next()
            if part is None:
                self._drop_file()
            self._changed.notify_all()
            if part is None and self._error is not None:
                raise self._error
            return part

    def close(self) -> None:
        """Stop: nothing more is wanted, and what was kept is dropped."""
        with self._changed:
            self._closed = True
            self._parts.clear()
            self._sizes.clear()
            self._drop_file()
            self._changed.notify_all()

    def end(self) -> None:
        """Drop what is kept, as it takes too much room: `take` raises."""
        with self._changed:
            self._error = EngineError(f"Code: 396. DB::Exception: {_DROPPED}. (TOO_MANY_ROWS_OR_BYTES)")
        self.close()

    def _drop_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            self._space.forget(self)
