"""CSV in parts of whole records, which ClickHouse reads; Python brings into its form what it does not read as it is."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import IO

import msgspec

from clickpipe.columns import base, holder, plain
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Escaped, Params, Settings, reads_csv
from clickpipe.ingest.body import Lines
from clickpipe.ingest.dialect import Dialect, Layout, layout_of, records
from clickpipe.ingest.pieces import line_end
from clickpipe.project import Column, DataSource
from clickpipe.sql import quote_literal

_CHUNK = 16 << 20  # bytes that are read together
_SAMPLE = 1 << 20  # bytes by which the layout is told
_LONGEST = 16 << 20  # bytes of a record: it takes some fifty times as much while it is sorted out
_NONE = "\x01"  # stands for a field that a record does not have
_TOO_LONG = "a row of more than"
_BLANK = re.compile(rb"\n[ \t]")
_ESCAPED = "surrogateescape"
_UNDECODED = re.compile("[\ud800-\udfff]")
_BACKSLASH, _QUOTE = "\\", "'"
_ESCAPES = ((r"\'", "'"), ("''", "'"), (r"\n", "\n"), (r"\t", "\t"), (r"\r", "\r"), (r"\b", "\b"), (r"\f", "\f"))
_BARE = ((r"([{,]\s*)(-?[0-9.]+)\s*:", r'\1"\2":'), (r"-?\b(?:nan|inf)\b", r'"\0"'))
_TOKENS = r"'(?:[^'\\]|\\.|'')*'|[^']+"
csv.field_size_limit(_LONGEST)


@dataclass(frozen=True, slots=True)
class CsvRows:
    """Whole records of a CSV file, in UTF-8, and how they are laid out."""

    data: bytes
    layout: Layout
    dialect: Dialect
    is_sorted_out: bool = False

    def table(self, import_id: str) -> str:
        """Return SQL of a table (import_id, line, f1, f2 …) with `params` and `settings`; `line` tells of a misfit."""
        count = len(self.layout.fields)
        names = [f"f{number}" for number in range(1, count + 2)]
        structure = quote_literal(", ".join(f"{name} String DEFAULT '\\x01'" for name in names))
        last, extra = names[-2:]
        present = f"arrayFilter(f -> f != '{_NONE}', [{', '.join(names)}])"
        few = f"concat('a row of ', toString(length({present})), ' fields where {count} are expected: ', "
        many = f"concat('{_TOO_LONG} {count} fields: ', "
        shown = f"toJSONString({present}))"
        line = f"multiIf({extra} != '{_NONE}', {many}{shown}, {last} = '{_NONE}', {few}{shown}, '{{}}')"
        first = f"f1 IN ('', '{_NONE}')" if count > 1 else f"f1 = '{_NONE}'"
        rows = f"format({self._format}, {structure}, {{data:String}}) WHERE NOT ({first} AND f2 = '{_NONE}')"
        return f"(SELECT {quote_literal(import_id)} AS import_id, {line} AS line, * FROM {rows})"

    @property
    def is_plain(self) -> bool:
        """Tell whether ClickHouse reads them as they are: it leaves out blanks at the beginning of a line."""
        blanks = self.data.startswith((b" ", b"\t")) or _BLANK.search(self.data)
        return self.dialect.is_plain and not blanks and not _undecodable(self.data)

    @property
    def _format(self) -> str:
        return "CustomSeparated" if self.layout.delimiter in "\t " else "CSV"

    @property
    def width(self) -> int:
        """How many fields a record is expected to have."""
        return len(self.layout.fields)

    @property
    def is_readable(self) -> bool:
        """Tell whether the engine reads them from a file: all records have to have as many fields as expected then."""
        return self.is_plain and reads_csv(self.width, self.layout.delimiter)

    def exactly(self, records: str, import_id: str = "") -> str:
        """Return SQL of a table as `table` gives, of `records` (f1, f2 …), each of as many fields as expected."""
        return f"(SELECT {quote_literal(import_id)} AS import_id, '{{}}' AS line, * FROM {records})"

    def misfits(self, staged: str) -> str:
        """Return the SELECT of how many staged rows have too few fields, and how many too many: they were cut."""
        return f"SELECT countIf(__line != '{{}}'), countIf(startsWith(__line, '{_TOO_LONG}')) FROM {staged}"

    @property
    def params(self) -> Params:
        """Return the records as a parameter, escaped: `str.translate` would take five times as long as ClickHouse."""
        text = self.data.decode()
        for meant, written in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"), ("\0", "\\0")):
            text = text.replace(meant, written)
        return {"data": Escaped(text)}

    @property
    def settings(self) -> Settings:
        """Return the settings to read `table` with."""
        by_format: Settings = (
            {"format_csv_delimiter": self.layout.delimiter}
            if self._format == "CSV"
            else {
                "format_custom_escaping_rule": "CSV",
                "format_custom_field_delimiter": self.layout.delimiter,
                "input_format_custom_allow_variable_number_of_columns": 1,
            }
        )
        return {
            **by_format,
            "input_format_csv_allow_variable_number_of_columns": 1,
            "input_format_csv_trim_whitespaces": 0,
            "input_format_csv_empty_as_default": 0,
            "input_format_csv_allow_cr_end_of_line": 1,
            "input_format_csv_skip_trailing_empty_lines": 1,
            "input_format_null_as_default": 0,
        }

    def sorted_out(self) -> tuple[CsvRows, Lines]:
        """Return the records that have as many fields as there are, written plainly, and the others as broken lines."""
        good, count = io.StringIO(), len(self.layout.fields)
        plain = csv.writer(good, delimiter=self.layout.delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
        write, bad = plain.writerow, []
        text = self.data.decode(errors=_ESCAPED)
        for row in records(io.StringIO(text, newline=""), self.dialect, self.layout.delimiter):
            if any(not field.isascii() and _UNDECODED.search(field) for field in row):
                bad.append(b"a row with bytes that are not in the file's charset: " + _shown(row))
            elif len(row) != count:
                bad.append(b"a row of %d fields where %d are expected: " % (len(row), count) + _shown(row))
            else:
                write(row)
        plainly = Dialect(charset=self.dialect.charset)
        written = replace(self, data=good.getvalue().encode(), dialect=plainly, is_sorted_out=True)
        return written, Lines.of(bad, len(bad))


def _undecodable(data: bytes) -> bool:
    if data.isascii():  # a twentieth of the time
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return True
    return False


def _shown(row: list[str]) -> bytes:
    return msgspec.json.encode([field.encode(errors=_ESCAPED).decode(errors="backslashreplace") for field in row])


@dataclass(frozen=True, slots=True)
class CsvTexts:
    """SQL for each column's text of `CsvRows.table`, as `Texts` has it for lines of JSON."""

    columns: tuple[str, ...]
    parsed: tuple[bool, ...]
    numbers: tuple[str, ...] = ()

    def read(self, lines: str) -> str:
        """Return the SELECT that `columns` are read from."""
        return f"SELECT * FROM {lines}"


def csv_texts(source: DataSource, layout: Layout) -> CsvTexts:
    r"""Return the texts of a data source's columns.

    An empty field is no value, but for columns of texts; \N is none anywhere.
    """
    texts = [_text(column, layout) for column in source.columns]
    return CsvTexts(tuple(texts), (False,) * len(texts))


def _text(column: Column, layout: Layout) -> str:
    if column.name not in layout.fields:
        return "CAST(NULL, 'Nullable(String)')"
    field = f"f{layout.fields.index(column.name) + 1}"
    own = plain(column.type)
    if base(column.type).startswith(("String", "FixedString")):
        return f"nullIf({field}, '\\\\N')"
    text = f"nullIf(nullIf(trim(BOTH ' \\t' FROM {field}), ''), '\\\\N')"
    return f"if(isValidJSON(ifNull({text}, '')), {text}, {_as_json(text)})" if holder(own) else text


def _as_json(text: str) -> str:
    """Return SQL that writes ClickHouse's own form of lists, tuples and maps (as CSV has them) as JSON."""
    inside = "p"
    for written, meant in _ESCAPES:
        inside = f"replaceAll({inside}, {quote_literal(written)}, {quote_literal(meant)})"
    parts = f"splitByString({quote_literal(2 * _BACKSLASH)}, substring(t, 2, length(t) - 2))"
    quoted = f"toJSONString(arrayStringConcat(arrayMap(p -> {inside}, {parts}), {quote_literal(_BACKSLASH)}))"
    bare = "replaceAll(translate(t, '()', '[]'), 'NULL', 'null')"
    for pattern, written in _BARE:
        bare = f"replaceRegexpAll({bare}, {quote_literal(pattern)}, {quote_literal(written)})"
    tokens = f"extractAll(ifNull({text}, ''), {quote_literal(_TOKENS)})"
    return f"arrayStringConcat(arrayMap(t -> if(startsWith(t, {quote_literal(_QUOTE)}), {quoted}, {bare}), {tokens}))"


def csv_parts(stream: IO[bytes], source: DataSource, dialect: Dialect) -> tuple[Layout, Iterator[CsvRows]]:
    """Return how a CSV stream is laid out, and its parts. Raises ClickpipeError for what cannot be read."""
    head = stream.read(_CHUNK).removeprefix(b"\xef\xbb\xbf")
    more = stream.read(1)
    sample = head[:_SAMPLE] if b"\n" in head[:_SAMPLE] else head
    layout = layout_of(sample.decode(errors=_ESCAPED), source, dialect, cut=bool(more) or len(sample) < len(head))
    first = _record_ends(sample, dialect, layout.delimiter, most=1)[-1] if layout.header else 0
    return layout, _parts(stream, head[first:], more, dialect, layout)


def _parts(stream: IO[bytes], rest: bytes, block: bytes, dialect: Dialect, layout: Layout) -> Iterator[CsvRows]:
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
    while (end := _few(rest, len(rest), dialect, layout.delimiter)) < len(rest):
        yield CsvRows(rest[:end], layout, dialect)
        rest = rest[end:]
    if rest.strip():
        yield CsvRows(rest, layout, dialect)


def _few(data: bytes, end: int, dialect: Dialect, delimiter: str) -> int:
    """Return where a part of not too many records ends, in the first `end` bytes, which are whole records."""
    found = line_end(data, end)
    return end if found == end else _last_end(data[:found], dialect, delimiter) or end


def _last_end(data: bytes, dialect: Dialect, delimiter: str) -> int:
    """Return where the last whole record ends: behind a line end with all quotes closed before it."""
    ordinary = re.escape(f'\r\n"{delimiter}'.encode())
    stray = b'"(?<=[^%s]")(?=[^%s])' % (ordinary, ordinary)  # quotes that quote nothing
    if not dialect.is_plain or re.search(stray, data):
        ends = _record_ends(data, dialect, delimiter)
        return ends[-2] if len(ends) > 1 else 0
    end = data.rfind(b"\n") + 1
    odd = data.count(b'"', 0, end) % 2
    while end and odd:
        before = data.rfind(b"\n", 0, end - 1) + 1
        odd ^= data.count(b'"', before, end) % 2
        end = before
    return end


def _record_ends(data: bytes, dialect: Dialect, delimiter: str, most: int | None = None) -> list[int]:
    """Return where each record ends."""
    read = 0

    def lines() -> Iterator[str]:
        nonlocal read
        for line in io.StringIO(data.decode(errors=_ESCAPED), newline=""):
            read += len(line.encode(errors=_ESCAPED))
            yield line

    return [read for _ in islice(records(lines(), dialect, delimiter), most)]
