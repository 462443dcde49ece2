"""Reads files as streams of rows, some MB at a time, whatever their size."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import open_parquet
from clickpipe.ingest.body import Lines, compression
from clickpipe.ingest.charset import in_utf8
from clickpipe.ingest.csv_rows import CsvRows, csv_parts
from clickpipe.ingest.dialect import Dialect, Layout
from clickpipe.ingest.json_file import json_parts, ndjson_parts
from clickpipe.ingest.typed_rows import TypedRows, typed_parts
from clickpipe.ingest.zstd import zstd_reader
from clickpipe.project import DataSource, Key, parse_jsonpath

FORMATS = ("csv", "ndjson", "json", "parquet")
_ADDRESS = re.compile(r"\bIPv[46]\b")
_LONGEST = 64 << 20  # bytes of a line

_NO_TEXT = (  # how files begin that are sent as text by mistake, and what to do
    (re.compile(rb"PAR1[\x00-\x08\x0e-\x1f]"), "Parquet (format=parquet)"),
    (re.compile(rb"BZh[1-9]1AY&SY"), "compressed with bzip2 (clickpipe reads gzip and zstd)"),
    (re.compile(rb"\xfd7zXZ\x00"), "compressed with xz (clickpipe reads gzip and zstd)"),
    (re.compile(rb"PK\x03\x04"), "a zip archive or a workbook (unpack it, or save it as CSV)"),
)

Part = Lines | CsvRows | TypedRows


@dataclass(frozen=True, slots=True)
class FileRows:
    """The rows of a file, in parts of some MB; `layout` is for CSV.

    `named` rows are objects keyed by column names; for others, jsonpaths apply.
    """

    parts: Iterable[Part]
    layout: Layout | None = None
    named: bool = False


@contextmanager
def open_file(path: Path, encoding: str = "", limit: int = 0) -> Iterator[IO[bytes]]:
    """Open a file, decompressing it (`gzip`, `zstd`). Without an encoding, its first bytes tell.

    Raises ClickpipeError: 400 if it is broken or no text, 413 if it holds more than `limit` bytes (0: no limit).
    """
    if encoding not in {"", "identity", "gzip", "zstd"}:
        message = f"Content-Encoding '{encoding}' is not supported: send gzip, zstd, or no encoding."
        raise ClickpipeError(message, code="unsupported_encoding")
    try:
        with path.open("rb") as raw:
            encoding = _told(raw) if encoding in {"", "identity"} else encoding
            if encoding == "zstd":
                yield _within(zstd_reader(raw), limit)
            elif encoding == "gzip":
                with gzip.GzipFile(fileobj=raw) as stream:
                    yield _within(stream, limit)
            else:
                yield raw
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        message = f"The {encoding} file is broken: {error}"
        raise ClickpipeError(message, code="broken_body") from None


def _told(raw: io.BufferedReader) -> str:
    """Return the encoding that a file's first bytes tell. Raises ClickpipeError if they are those of no text."""
    begins = raw.peek(16)[:16]
    if found := compression(begins):
        return found
    if kind := next((kind for mark, kind in _NO_TEXT if mark.match(begins)), ""):
        message = f"The file is {kind}, not text."
        raise ClickpipeError(message, code="unreadable_file")
    return ""


class _Counted(io.RawIOBase):
    """A stream that raises an error after `limit` bytes."""

    def __init__(self, stream: io.BufferedIOBase, limit: int) -> None:
        self._stream, self._limit, self._left = stream, limit, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._stream.readinto(buffer)
        self._left -= count
        if self._left < 0:
            message = f"The file is larger than {self._limit} bytes when decompressed: see import_max_bytes."
            raise ClickpipeError(message, status=413, code="file_too_large")
        return count


def _within(stream: io.BufferedIOBase, limit: int) -> IO[bytes]:
    return cast("IO[bytes]", io.BufferedReader(_Counted(stream, limit), 1 << 20) if limit else stream)


@contextmanager
def read_file(
    path: Path, format_: str, source: DataSource, dialect: Dialect, encoding: str = "", limit: int = 0
) -> Iterator[FileRows]:
    """Open a file and yield its rows, at most `limit` bytes (0: no limit) when decompressed.

    Raises ClickpipeError: 400 if it cannot be read, 413 if it holds more.
    """
    if format_ == "parquet":
        with open_parquet(path, _types(source), limit) as file:
            yield FileRows(typed_parts(file, source))
        return
    with open_file(path, encoding, limit) as compressed:
        stream = in_utf8(compressed, dialect.charset)
        if format_ == "csv":
            layout, parts = csv_parts(stream, source, dialect)
            yield FileRows(parts, layout, named=True)
        elif format_ == "json":
            yield FileRows(json_parts(stream, _LONGEST))
        else:
            yield FileRows(ndjson_parts(stream, _LONGEST))


def _types(source: DataSource) -> dict[str, str]:
    """Return the columns whose types Parquet lacks and stores as bytes or numbers (IP addresses), with their types."""
    found: dict[str, str] = {}
    for column in source.columns:
        steps = parse_jsonpath(column.jsonpath) if column.jsonpath else (Key(column.name),)
        if _ADDRESS.search(column.type) and steps and isinstance(steps[0], Key):
            found[steps[0].name] = column.type
    return found
