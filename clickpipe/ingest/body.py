"""Splits a request's body into lines, one JSON document each."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest.elements import as_line, cut
from clickpipe.ingest.zstd import zstd_reader

_OBJECTS = re.compile(rb"\[\s*+[{\]]")  # an array of objects, or an empty one
_MARKS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}  # never the beginning of text
BOM = b"\xef\xbb\xbf"
_LARGE = 100_000  # in larger bodies, ClickHouse handles blanks, and what is not valid JSON is not cut apart


def compression(begins: bytes) -> str:
    """Return the encoding of data that begins like this, `gzip`, `zstd` or '', for who does not say it."""
    return next((encoding for mark, encoding in _MARKS.items() if begins.startswith(mark)), "")


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """Return the decompressed body. Raises ClickpipeError: 400 if broken or unknown, 413 above `limit` bytes.

    Without an encoding, the body's first bytes tell.
    """
    encoding = compression(body) if encoding in {"", "identity"} else encoding
    if not encoding:
        return body
    if encoding not in {"gzip", "zstd", "lz4"}:
        message = f"Content-Encoding '{encoding}' is not supported: send gzip, zstd, lz4, or no encoding."
        raise ClickpipeError(message, code="unsupported_encoding")
    try:
        data = _READERS[encoding](body, limit + 1)
    except EOFError:
        message = f"The {encoding} body is not complete."
        raise ClickpipeError(message, code="broken_body") from None
    except (gzip.BadGzipFile, zlib.error, RuntimeError):  # lz4 raises the last
        message = f"The body is not valid {encoding}."
        raise ClickpipeError(message, code="broken_body") from None
    if len(data) > limit:
        message = f"The body is larger than {limit} bytes when decompressed."
        raise ClickpipeError(message, status=413, code="body_too_large")
    return data


def _gunzip(body: bytes, size: int) -> bytes:
    """Return at most `size` bytes from one or more concatenated gzip files. Raises EOFError."""
    if not body:
        raise EOFError
    with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
        return file.read(size)


def _unlz4(body: bytes, size: int) -> bytes:
    """Return at most `size` bytes from LZ4 frames. Raises EOFError, RuntimeError."""
    import lz4.frame

    with lz4.frame.LZ4FrameFile(io.BytesIO(body)) as file:
        return bytes(file.read(size))


def _unzstd(body: bytes, size: int) -> bytes:
    return zstd_reader(io.BytesIO(body)).read(size)


_READERS = {"gzip": _gunzip, "lz4": _unlz4, "zstd": _unzstd}


@dataclass(frozen=True, slots=True)
class Lines:
    """Documents separated by line ends. Blank lines, and blanks around a document, do not count.

    `invalid` of them are not rows at all (too few or too many fields).
    """

    data: bytes
    invalid: int = 0

    @classmethod
    def of(cls, documents: Iterable[bytes], invalid: int = 0) -> Lines:
        """Join documents, none of which contains a line end."""
        return cls(b"\n".join(documents), invalid)


def lines_of(body: bytes, *, json: bool = False) -> Lines:
    """Return the documents in a body: NDJSON, JSON objects over several lines, or a JSON array of objects.

    With `json` the body is one JSON value, an object or an array. An array that is not valid JSON is cut apart if it is
    small, so that one broken element holds back no other. Lines that are not JSON stay as they are, and go to
    quarantine with the reason.
    """
    text = body.removeprefix(BOM).strip()
    if json or is_array(text) or _spans_lines(text):
        documents = _one_document(text)
        if documents is None and len(text) < _LARGE:
            documents = _several(text)
        if documents is not None:
            return Lines.of(documents)
    if len(text) < _LARGE or b"\r" in text:
        return Lines.of(_nonblank(text.split(b"\n")))
    return Lines(text)


def is_array(body: bytes) -> bool:
    """Return whether a body begins like an array of objects, or is an empty one."""
    return _OBJECTS.match(body.removeprefix(BOM).lstrip()) is not None


def is_ndjson(body: bytes) -> bool:
    """Return whether a body looks like one JSON document on each line."""
    text = body.removeprefix(BOM).lstrip()
    return not is_array(text) and not _spans_lines(text)


def is_document(text: bytes) -> bool:
    """Return whether a text is one JSON value."""
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _nonblank(parts: Iterable[bytes]) -> Iterator[bytes]:
    return (line for part in parts if (line := part.strip()))


def _spans_lines(text: bytes) -> bool:
    """Return whether the body may be objects over several lines, or with commas between them."""
    first, newline, _ = text.partition(b"\n")
    return bool(newline) and text[:1] == b"{" and first.rstrip()[-1:] != b"}"


def _one_document(text: bytes) -> list[bytes] | None:
    """Return the elements of an array, or the only document, as lines; None if the text is not one JSON value."""
    if text[:1] != b"[":
        return [as_line(text)] if is_document(text) else None
    try:
        return [as_line(bytes(item)) for item in msgspec.json.decode(text, type=list[msgspec.Raw])]
    except (msgspec.DecodeError, RecursionError):
        return None


def _several(text: bytes) -> list[bytes] | None:
    """Return the elements of an array that is not valid JSON, and what follows them; or several valid objects.

    Returns None if the text is neither.
    """
    in_array = text[:1] == b"["
    if not in_array and text[:1] != b"{":
        return None
    found = cut(text[in_array:])
    rest = text[in_array:][found.start :].strip()
    if in_array:
        documents = [as_line(document) for document in _nonblank(found.documents)]
        return documents + ([as_line(rest)] if is_document(rest) else list(_nonblank(rest.split(b"\n"))))
    documents = list(_nonblank([*found.documents, rest]))
    return None if found.closed or not all(map(is_document, documents)) else list(map(as_line, documents))
