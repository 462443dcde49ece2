"""A request's body to lines, one JSON document each."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest.zstd import zstd_reader

_LARGE = 100_000  # bytes from which on blanks are left to ClickHouse


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """Return the body without its `Content-Encoding`. Raises 400 (broken, unknown) or 413 (over `limit` bytes)."""
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "zstd"}:
        message = f"Content-Encoding '{encoding}' is not supported: send gzip, zstd, or no encoding."
        raise ClickpipeError(message, code="unsupported_encoding")
    try:
        data = _gunzip(body, limit + 1) if encoding == "gzip" else zstd_reader(io.BytesIO(body)).read(limit + 1)
    except EOFError:
        message = "The gzip body is not complete."
        raise ClickpipeError(message, code="broken_body") from None
    except (gzip.BadGzipFile, zlib.error):
        message = "The body is not valid gzip."
        raise ClickpipeError(message, code="broken_body") from None
    if len(data) > limit:
        message = f"The body is larger than {limit} bytes when decompressed."
        raise ClickpipeError(message, status=413, code="body_too_large")
    return data


def _gunzip(body: bytes, size: int) -> bytes:
    """Return at most `size` bytes of what may be several gzip files one after another. Raises EOFError."""
    if not body:
        raise EOFError
    with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
        return file.read(size)


@dataclass(frozen=True, slots=True)
class Lines:
    """Documents, one a line, with a line end between two of them; blank lines are none, nor is a blank around one."""

    data: bytes

    @classmethod
    def of(cls, documents: Iterable[bytes]) -> Lines:
        """Return documents (no line end in any) as lines."""
        return cls(b"\n".join(documents))


def lines_of(body: bytes, *, json: bool = False) -> Lines:
    """Return the documents of an NDJSON body, of one JSON object over several lines, or of a JSON array.

    With `json` the body is one JSON value, an object or an array of objects. Lines that are no JSON
    stay as they are: they go to quarantine with the reason.
    """
    text = body.removeprefix(b"\xef\xbb\xbf").strip()
    if json or _spans_lines(text):
        documents = _one_document(text)
        if documents is not None:
            return Lines.of(documents)
    if len(text) < _LARGE or b"\r" in text:
        return Lines.of(line for line in (part.strip() for part in text.split(b"\n")) if line)
    return Lines(text)


def _spans_lines(text: bytes) -> bool:
    """Tell whether the body may be one object written over several lines."""
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
