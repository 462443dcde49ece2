"""Reads zstd streams to the end, and reports incomplete frames, which the library's own reader ignores."""

from __future__ import annotations

import io
from typing import IO, Any

from clickpipe.diagnostics import ClickpipeError

_SLICE = 512  # bytes to feed at once: they may expand to 16 MB (four bytes can make a block of 128 kB)


def zstd_reader(stream: IO[bytes]) -> io.BufferedReader:
    """Return a stream of the contents of a zstd stream with one or more frames. Reading raises ClickpipeError."""
    return io.BufferedReader(_Reader(stream), 1 << 20)


class _Reader(io.RawIOBase):
    def __init__(self, stream: IO[bytes]) -> None:
        from zstandard import ZstdDecompressor

        self._stream = stream
        self._frames = ZstdDecompressor()
        self._frame: Any = None
        self._fed = b""
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready and self._feed():
            pass
        given, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        buffer[: len(given)] = given
        return len(given)

    def _feed(self) -> bool:
        """Decompress another slice; return whether there was one."""
        from zstandard import ZstdError

        self._fed = self._fed or self._stream.read(_SLICE)
        if not self._fed:
            if self._frame is not None:
                message = "The zstd body is not complete."
                raise ClickpipeError(message, code="broken_body")
            return False
        self._frame = self._frame or self._frames.decompressobj()
        try:
            self._ready, self._fed = self._frame.decompress(self._fed), b""
        except ZstdError:
            message = "The body is not valid zstd."
            raise ClickpipeError(message, code="broken_body") from None
        if self._frame.eof:
            self._fed, self._frame = self._frame.unused_data, None
        return True
