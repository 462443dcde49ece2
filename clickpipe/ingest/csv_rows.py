"""Splits CSV into parts of whole records for ClickHouse; Python rewrites what ClickHouse cannot read."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import IO

import msgspec

from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import ABSENT, reads_csv
from clickpipe.ingest.body import BOM, Lines
from clickpipe.ingest.dialect import NO_VALUE, Dialect, Layout, layout_of, records, without_separator
from clickpipe.ingest.pieces import line_end
from clickpipe.project import DataSource
from clickpipe.sql import quote_literal

_CHUNK = 16 << 20  # bytes per read
_SAMPLE = 1 << 20  # bytes for detecting the layout
_LONGEST = 16 << 20  # bytes of a record: rewriting takes some thirty times as much memory
_MOST_IN_JSON = 10_000  # fields: as JSON, empty ones take three times the bytes
_TOO_MANY = "a row of too many fields"
_BLANK = re.compile(rb"\n[ \t]")
_ESCAPED = "surrogateescape"
_UNDECODED = re.compile("[\ud800-\udfff]")
csv.field_size_limit(_LONGEST)


@dataclass(frozen=True, slots=True)
class CsvRows:
    """Whole records of a CSV file, in UTF-8, with their layout.

    `is_sorted_out`: each has the expected number of fields, all quoted. `as_arrays`: each is a JSON array on a line.
    """

    data: bytes
    layout: Layout
    dialect: Dialect
    as_arrays: bool = False
    is_sorted_out: bool = False

    @property
    def is_plain(self) -> bool:
        """Return whether ClickHouse can read them as they are. It skips blanks at the beginning of a record."""
        if self.is_sorted_out:
            return True
        blanks = self.data.startswith((b" ", b"\t")) or _BLANK.search(self.data)
        return self.dialect.is_plain and not blanks and not _undecodable(self.data)

    @property
    def width(self) -> int:
        """The expected number of fields."""
        return len(self.layout.fields)

    @property
    def is_readable(self) -> bool:
        """Return whether the engine can read them from a file, if all records have the expected number of fields."""
        return not self.as_arrays and self.is_plain and reads_csv(self.width, self.layout.delimiter)

    def exactly(self, records: str, import_id: str = "") -> str:
        """Return SQL that reads as a table (import_id, line, f1, f2 …) of `records` with the expected fields."""
        return f"(SELECT {quote_literal(import_id)} AS import_id, '{{}}' AS line, * FROM {records})"

    def ragged(self, records: str, import_id: str) -> str:
        """Return such SQL for `records` with any number of fields (`Engine.csv`); `line` describes a misfit.

        Records with too many fields are cut off.
        """
        count = self.width
        names = [f"f{number}" for number in range(1, count + 2)]
        none, last, extra = ABSENT, *names[-2:]
        present = f"arrayFilter(f -> f != {none}, [{', '.join(names)}])"
        few = f"concat('a row of ', toString(length({present})), ' fields where {count} are expected: ', "
        line = f"multiIf({extra} != {none}, '{_TOO_MANY}', {last} = {none}, {few}toJSONString({present})), '{{}}')"
        first = f"f1 IN ('', {none})" if count > 1 else f"f1 = {none}"
        rows = f"SELECT {line} AS line, {', '.join(names)} FROM {records} WHERE NOT ({first} AND f2 = {none})"
        fields = ", ".join(f"if(r.line = '{{}}', r.{name}, {quote_literal(NO_VALUE)}) AS {name}" for name in names[:-1])
        return f"(SELECT {quote_literal(import_id)} AS import_id, r.line AS line, {fields} FROM ({rows}) AS r)"

    def from_arrays(self, lines: str) -> str:
        """Return such SQL for `lines` (`Engine.lines`), if the records are `as_arrays`."""
        fields = ", ".join(f"fields[{number}] AS f{number}" for number in range(1, self.width + 1))
        arrays = f"SELECT import_id, JSONExtract(document, 'Array(String)') AS fields FROM {lines}"
        return f"(SELECT import_id, '{{}}' AS line, {fields} FROM ({arrays}))"

    def misfits(self, staged: str) -> str:
        """Return a SELECT that counts staged rows with a wrong number of fields, and those with too many."""
        return f"SELECT countIf(__line != '{{}}'), countIf(__line = '{_TOO_MANY}') FROM {staged}"

    def sorted_out(self, *, as_arrays: bool = False) -> tuple[CsvRows, Lines]:
        """Return the records with the expected number of fields, rewritten for ClickHouse, and the others as lines."""
        good, bad, count = io.StringIO(), list[bytes](), self.width
        as_arrays = as_arrays or not reads_csv(count, ",")
        quoted = csv.writer(good, quoting=csv.QUOTE_ALL, lineterminator="\n")
        write = partial(_write_array, good) if as_arrays else quoted.writerow
        text = self.data.decode(errors=_ESCAPED)
        for row in records(io.StringIO(text, newline=""), self.dialect, self.layout.delimiter):
            if any(not field.isascii() and _UNDECODED.search(field) for field in row):
                bad.append(b"a row with bytes that are not in the file's charset: " + _shown(row))
            elif len(row) != count:
                bad.append(b"a row of %d fields where %d are expected: " % (len(row), count) + _shown(row))
            else:
                write(row)
        layout, dialect = replace(self.layout, delimiter=","), Dialect(charset=self.dialect.charset)
        sorted_out = CsvRows(good.getvalue().encode(), layout, dialect, as_arrays, is_sorted_out=True)
        return sorted_out, Lines.of(bad, len(bad))


def _write_array(out: io.StringIO, row: list[str]) -> None:
    out.write(msgspec.json.encode(row).decode())
    out.write("\n")


def _undecodable(data: bytes) -> bool:
    if data.isascii():  # twenty times as fast
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return True
    return False


def _shown(row: list[str]) -> bytes:
    """Return a row as JSON, or as CSV if it has very many fields; the latter empties the list, to save memory."""
    if len(row) <= _MOST_IN_JSON:
        return msgspec.json.encode([field.encode(errors=_ESCAPED).decode(errors="backslashreplace") for field in row])
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(row)
    row.clear()
    text = out.getvalue().removesuffix("\n").replace("\n", "\\n")
    return text.encode(errors=_ESCAPED).decode(errors="backslashreplace").encode()


def csv_parts(stream: IO[bytes], source: DataSource, dialect: Dialect) -> tuple[Layout, Iterator[CsvRows | Lines]]:
    """Return the layout of a CSV stream, and its parts; a last row whose quote is not closed is a line.

    Raises ClickpipeError if it cannot be read.
    """
    head, separator = without_separator(stream.read(_CHUNK).removeprefix(BOM))
    dialect = replace(dialect, delimiter=dialect.delimiter or separator)
    more = stream.read(1)
    sample = head[:_SAMPLE] if b"\n" in head[:_SAMPLE] else head
    layout = layout_of(sample.decode(errors=_ESCAPED), source, dialect, cut=bool(more) or len(sample) < len(head))
    first = _record_ends(sample, dialect, layout.delimiter, most=1)[-1] if layout.header else 0
    return layout, _parts(stream, head[first:], more, dialect, layout)


def _parts(stream: IO[bytes], rest: bytes, block: bytes, dialect: Dialect, layout: Layout) -> Iterator[CsvRows | Lines]:
    while block:
        rest += block
        while len(rest) >= _CHUNK // 2 and (end := _last_end(rest, dialect, layout.delimiter)):
            end = _few(rest, end, dialect, layout.delimiter)
            yield CsvRows(rest[:end], layout, dialect)
            rest = rest[end:]
        if len(rest) > _LONGEST:
            message = f"A row is longer than {_LONGEST} bytes: is a quote missing?"
            raise ClickpipeError(message, code="line_too_long")
        block = stream.read(_CHUNK)
    end = _closed_end(rest, dialect, layout.delimiter)
    rest, broken = rest[:end], rest[end:]
    while (end := _few(rest, len(rest), dialect, layout.delimiter)) < len(rest):
        yield CsvRows(rest[:end], layout, dialect)
        rest = rest[end:]
    if rest.strip():
        yield CsvRows(rest, layout, dialect)
    if broken:
        shown = msgspec.json.encode(broken.decode(errors="backslashreplace"))
        yield Lines.of([b"a row whose quote is not closed: " + shown], 1)


def _few(data: bytes, end: int, dialect: Dialect, delimiter: str) -> int:
    """Return where to end a part so that it has not too many records; the first `end` bytes are whole records."""
    found = line_end(data, end)
    return end if found == end else _last_end(data[:found], dialect, delimiter) or end


def _last_end(data: bytes, dialect: Dialect, delimiter: str) -> int:
    """Return where the last whole record ends: after a line end with all quotes closed."""
    if _has_stray_quotes(data, dialect, delimiter):
        ends = _record_ends(data, dialect, delimiter)
        return ends[-2] if len(ends) > 1 else 0
    end = data.rfind(b"\n") + 1
    odd = data.count(b'"', 0, end) % 2
    while end and odd:
        before = data.rfind(b"\n", 0, end - 1) + 1
        odd ^= data.count(b'"', before, end) % 2
        end = before
    return end


def _has_stray_quotes(data: bytes, dialect: Dialect, delimiter: str) -> bool:
    """Return whether counting quotes does not tell where records end."""
    ordinary = re.escape(f'\r\n"{delimiter}'.encode())
    stray = b'"(?<=[^%s]")(?=[^%s])' % (ordinary, ordinary)
    return not dialect.is_plain or re.search(stray, data) is not None


def _closed_end(data: bytes, dialect: Dialect, delimiter: str) -> int:
    """Return where the last record begins if a quote in it is not closed, else where the data ends."""
    if not data.count(b'"') % 2 and not _has_stray_quotes(data, dialect, delimiter):
        return len(data)
    begins = [0, *_record_ends(data + b"\nend\n", dialect, delimiter)][-2]
    return begins if data[begins:].strip() else len(data)


def _record_ends(data: bytes, dialect: Dialect, delimiter: str, most: int | None = None) -> list[int]:
    """Return where each record ends."""
    read = 0

    def lines() -> Iterator[str]:
        nonlocal read
        for line in io.StringIO(data.decode(errors=_ESCAPED), newline=""):
            read += len(line.encode(errors=_ESCAPED))
            yield line

    return [read for _ in islice(records(lines(), dialect, delimiter), most)]
