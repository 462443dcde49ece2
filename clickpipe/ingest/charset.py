"""Text in another charset, as a stream of UTF-8."""

from __future__ import annotations

import codecs
from typing import IO, cast

from clickpipe.diagnostics import ClickpipeError

_BLOCK = 1 << 20
_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
# Codecs of Python's that are no charsets of files: some take hours for a megabyte, some raise what no other does.
_NO_CHARSETS = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"})
_ERRORS = "surrogateescape"  # bytes that are none of its characters stay as they are: they are no UTF-8 either


def in_utf8(stream: IO[bytes], charset: str) -> IO[bytes]:
    """Return the stream in UTF-8. Without a charset it is UTF-8, or what its byte order mark says.

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
        message = f"The charset '{charset}' is not known: send utf-8, iso-8859-1, windows-1252 or another of Python's."
        raise ClickpipeError(message, code="unknown_charset")
    if decoder.name == "utf-8":
        return stream
    return cast("IO[bytes]", _Recoded(stream, decoder.incrementaldecoder(_ERRORS)))


def is_charset(name: str) -> bool:
    """Tell whether text can be in a charset of this name."""
    return _codec(name) is not None


def _codec(name: str) -> codecs.CodecInfo | None:
    try:
        found = codecs.lookup(name)
        "".encode(name)  # a codec of bytes to bytes is no charset
    except (LookupError, ValueError):
        return None
    return None if found.name in _NO_CHARSETS else found


class _Recoded:
    """Reads a stream in another charset."""

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
        except UnicodeError:  # half of a character, which not every codec gives as it is; no byte order mark
            message = "The file ends, or is broken, within a character of its charset."
            raise ClickpipeError(message, code="broken_file") from None
