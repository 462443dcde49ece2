"""Files to lines: NDJSON and CSV as streams, some MB at a time, whatever their size."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import msgspec

from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import parquet_rows
from clickpipe.ingest.body import Lines, lines_of
from clickpipe.ingest.types import base
from clickpipe.ingest.zstd import zstd_reader
from clickpipe.project import DataSource

FORMATS = ("csv", "ndjson", "json", "parquet")
_CHUNK = 8 << 20  # bytes that are inserted together
_LONGEST = 64 << 20  # bytes of a line
csv.field_size_limit(_LONGEST)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is written. `header`: whether the first row has names; None: when all of them are columns'."""

    delimiter: str = ","
    escape: str | None = None
    quote: str = '"'
    header: bool | None = None


@contextmanager
def open_file(path: Path, encoding: str = "") -> Iterator[IO[bytes]]:
    """Give a file without its compression (`gzip`, `zstd`). Raises ClickpipeError 400 for one that is broken."""
    if encoding not in {"", "identity", "gzip", "zstd"}:
        message = f"Content-Encoding '{encoding}' is not supported: send gzip, zstd, or no encoding."
        raise ClickpipeError(message, code="unsupported_encoding")
    try:
        with path.open("rb") as raw:
            if encoding == "zstd":
                yield cast("IO[bytes]", zstd_reader(raw))
            elif encoding == "gzip":
                with gzip.GzipFile(fileobj=raw) as stream:
                    yield cast("IO[bytes]", stream)
            else:
                yield raw
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        message = f"The {encoding} file is broken: {error}"
        raise ClickpipeError(message, code="broken_body") from None


@contextmanager
def read_file(
    path: Path, format_: str, source: DataSource, dialect: Dialect, encoding: str = ""
) -> Iterator[Iterable[Lines]]:
    """Give a file's rows as lines, in parts of some MB. Raises ClickpipeError 400 for what cannot be read.

    Those of CSV are objects by the columns' names, those of the other formats are as the jsonpaths take them.
    """
    if format_ == "parquet":
        with parquet_rows(path) as stream:
            yield ndjson_parts(stream)
        return
    with open_file(path, encoding) as stream:
        if format_ == "csv":
            yield csv_parts(stream, source, dialect)
        elif format_ == "json":
            yield [lines_of(stream.read(), json=True)]
        else:
            yield ndjson_parts(stream)


def ndjson_parts(stream: IO[bytes]) -> Iterator[Lines]:
    """Yield the lines of a stream. Raises ClickpipeError for one that is too long to be kept."""
    rest = b""
    while block := stream.read(_CHUNK):
        whole, newline, after = block.rpartition(b"\n")
        if newline:
            yield lines_of(rest + whole)
            rest = after
        else:
            rest += block
        if len(rest) > _LONGEST:
            message = f"A line is longer than {_LONGEST} bytes: is this NDJSON, one object a line?"
            raise ClickpipeError(message, code="line_too_long")
    yield lines_of(rest)


def csv_parts(stream: IO[bytes], source: DataSource, dialect: Dialect) -> Iterator[Lines]:
    """Yield the rows of a CSV stream as JSON objects; a row of another width is a line that is no JSON.

    An empty field is no value, but for columns of texts. Raises ClickpipeError for a dialect that there is not.
    """
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")
    try:
        yield from _rows_of(text, source, dialect)
    finally:
        with contextlib.suppress(ValueError):  # it was closed meanwhile
            text.detach()


def _rows_of(text: io.TextIOWrapper, source: DataSource, dialect: Dialect) -> Iterator[Lines]:
    try:
        rows = csv.reader(
            text,
            delimiter=dialect.delimiter,
            escapechar=dialect.escape,
            quotechar=dialect.quote or None,
            quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        )
    except (TypeError, ValueError) as error:
        message = f"The CSV dialect is not one: {error}"
        raise ClickpipeError(message, code="bad_dialect") from None
    columns = [c.name for c in source.columns]
    first = _next(rows)
    if first is None:
        return
    header = dialect.header
    if header is None:
        header = bool(first) and all(_named(cell, columns) for cell in first)
    names = [_named(cell, columns) or cell for cell in first] if header else columns
    texts = {c.name for c in source.columns if base(c.type).startswith(("String", "FixedString"))}
    yield from _parts(rows, names, texts, None if header else first)


def _named(cell: str, columns: Sequence[str]) -> str:
    name = cell.strip().strip('"`')
    return name if name in columns else ""


def _next(rows: Iterator[list[str]]) -> list[str] | None:
    try:
        return next(rows, None)
    except csv.Error as error:
        message = f"The CSV file cannot be read: {error}"
        raise ClickpipeError(message, code="unreadable_file") from None


def _parts(
    rows: Iterator[list[str]], names: Sequence[str], texts: set[str], first: list[str] | None
) -> Iterator[Lines]:
    encode = msgspec.json.Encoder().encode
    keeps_empty = [name in texts for name in names]
    row = first if first is not None else _next(rows)
    lines: list[bytes] = []
    size = invalid = 0
    while row is not None:
        if len(row) == len(names):
            fields = {n: v for n, v, keep in zip(names, row, keeps_empty, strict=True) if v or keep}
            lines.append(encode(fields))
        elif row:
            invalid += 1
            lines.append(b"a row of %d fields where %d are expected: " % (len(row), len(names)) + encode(row))
        size += len(lines[-1]) if row else 0
        if size > _CHUNK:
            yield Lines.of(lines, invalid)
            lines, size, invalid = [], 0, 0
        row = _next(rows)
    yield Lines.of(lines, invalid)
