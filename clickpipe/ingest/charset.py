"""Converts text in other charsets to a stream of UTF-8."""

from __future__ import annotations

import codecs
from typing import IO, cast

from clickpipe.diagnostics import ClickpipeError

_BLOCK = 1 << 20
_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
# Python codecs that are no file charsets: some take hours for a megabyte, some raise unusual exceptions.
_NO_CHARSETS = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"})
_ERRORS = "surrogateescape"  # undecodable bytes stay as they are: they are not valid UTF-8 either


def in_utf8(stream: IO[bytes], charset: str) -> IO[bytes]:
    """Return the stream as UTF-8. Without a charset, its byte order mark decides; UTF-8 is the default.

    Raises ClickpipeError for an unknown charset.
    """
    name = charset.strip().strip("\"'").lower()
    if not name:
        peek = getattr(stream, "peek", None)
        start = peek(2)[:2] if peek else b""
        if start not in _MARKS:
            return stream
        name = _MARKS[start]
        stream.read(2)
    decoder = _codec(name)
    if decoder is None:
        message = f"The charset '{charset}' is unknown: send utf-8, iso-8859-1, windows-1252 or another of Python's."
        raise ClickpipeError(message, code="unknown_charset")
    if decoder.name == "utf-8":
        return stream
    return cast("IO[bytes]", _Recoded(stream, decoder.incrementaldecoder(_ERRORS)))


def is_charset(name: str) -> bool:
    """Return whether this is a known charset for text."""
    return _codec(name) is not None


def _codec(name: str) -> codecs.CodecInfo | None:
    try:
        found = codecs.lookup(name)
        "".encode(name)  # a bytes-to-bytes codec is not a charset
    except (LookupError, ValueError):
        return None
    return None if found.name in _NO_CHARSETS else found


class _Recoded:
    """Reads a stream in another charset as UTF-8."""

    def __init__(self, stream: IO[bytes], decoder: codecs.IncrementalDecoder) -> None:
        self._stream = stream
        self._decoder = decoder
        self._rest = b""
        self._ended = False

    def read(self, size: int = -1) -> bytes:
        while not self._ended and (size < 0 or len(self._rest) < size):
            block = self._stream.read(_BLOCK)
            self._ended = not block
            self._rest += self._decoded(block).encode(errors=_ERRORS)
        end = len(self._rest) if size < 0 else size
        found, self._rest = self._rest[:end], self._rest[end:]
        return found

    def _decoded(self, block: bytes) -> str:
        try:
            return self._decoder.decode(block, final=not block)
        except UnicodeError:  # a truncated character, which some codecs cannot pass on, or a missing byte order mark
            message = "The file ends, or is broken, within a character of its charset."
            raise ClickpipeError(message, code="broken_file") from None
