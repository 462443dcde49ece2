"""Splits a request's body into lines, one JSON document each."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest.zstd import zstd_reader

_OBJECTS = re.compile(rb"\[\s*+[{\]]")  # an array of objects, or an empty one
_LARGE = 100_000  # in larger bodies, ClickHouse handles blanks


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """Return the decompressed body. Raises ClickpipeError: 400 if broken or unknown, 413 above `limit` bytes."""
    if encoding in {"", "identity"}:
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
    """Return the documents in a body: NDJSON, one JSON object over several lines, or a JSON array of objects.

    With `json` the body is one JSON value, an object or an array. Lines that are not JSON stay as they are, and go to
    quarantine with the reason.
    """
    text = body.removeprefix(b"\xef\xbb\xbf").strip()
    if json or _OBJECTS.match(text) or _spans_lines(text):
        documents = _one_document(text)
        if documents is not None:
            return Lines.of(documents)
    if len(text) < _LARGE or b"\r" in text:
        return Lines.of(line for line in (part.strip() for part in text.split(b"\n")) if line)
    return Lines(text)


def _spans_lines(text: bytes) -> bool:
    """Return whether the body may be one object over several lines."""
    first, newline, _ = text.partition(b"\n")
    return bool(newline) and text[:1] == b"{" and first.rstrip()[-1:] != b"}"


def _one_document(text: bytes) -> list[bytes] | None:
    try:
        if text[:1] == b"[":
            return [_compact(item) for item in msgspec.json.decode(text, type=list[msgspec.Raw])]
        msgspec.json.decode(text, type=msgspec.Raw)
        return [_compact(text)]
    except (msgspec.DecodeError, RecursionError):
        return None


def _compact(document: bytes | msgspec.Raw) -> bytes:
    data = bytes(document)
    return msgspec.json.format(data, indent=-1) if b"\n" in data else data
