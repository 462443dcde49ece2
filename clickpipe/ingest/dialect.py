"""How a CSV file is written, and which field is which column: as specified, or detected from its beginning."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from clickpipe.columns import spread
from clickpipe.diagnostics import ClickpipeError
from clickpipe.project import DataSource

DELIMITERS = ",;\t|"
_ODD = re.compile(r"\W+", re.ASCII)
_LITERALS = frozenset({"null", "true", "false", "nan", "inf", "infinity"})  # SQL would read these as values in a key
_NO_NAME = re.compile(r"\\N$|[\s\d.,:+-]*$")
_RESERVED = ("c__error", "c__error_column", "c__import_id", "c__insertion_date")  # the quarantine's own columns
_SEPARATOR = re.compile(rb"""(?i:"?sep=([\t -/:-@\[-`{-~])"?(?:\r\n?|\n))""")
NO_VALUE = "\\N"  # stands for NULL in a field
_LOOKED_AT = 50  # lines
_MOST_NAMES = 10_000  # a row with more fields is not a header


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is written; None means to detect it. `header`: whether the first row has names."""

    delimiter: str | None = None
    escape: str | None = None
    quote: str = '"'
    header: bool | None = None
    charset: str = ""

    @property
    def is_plain(self) -> bool:
        """Return whether ClickHouse can read it as it is."""
        return self.escape is None and self.quote == '"'


@dataclass(frozen=True, slots=True)
class Layout:
    """The fields of a CSV file: the column of each, or '' if it has none.

    A tuple may be spread over several, as ClickHouse writes it: `v.a` and `v.b` for `v Tuple(a Int8, b Int8)`.
    `ignored` are names in the header that are not columns; `missing` are columns that it does not name.
    """

    delimiter: str
    fields: tuple[str, ...]
    header: bool = False
    ignored: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, list[str]]:
        """Return what an import reports about it."""
        found = {"ignored_columns": list(self.ignored), "missing_columns": list(self.missing)}
        return {key: names for key, names in found.items() if names}


class Names:
    """Makes unique column names out of names in files."""

    def __init__(self) -> None:
        """Start with only the quarantine's own columns taken."""
        self._taken = set(_RESERVED)
        self._numbers: dict[str, int] = {}  # last suffix per name: a file may repeat one name a million times

    def of(self, path: Sequence[str]) -> str:
        """Return a name for a path, with a number appended if it is taken."""
        name = _ODD.sub("_", "_".join(path)).strip("_").lower() or "column"
        name = f"_{name}" if name[0].isdigit() or name in _LITERALS else name
        number, unique = self._numbers.get(name, 1), name
        while unique in self._taken:
            number += 1
            unique = f"{name}_{number}"
        self._numbers[name] = number
        self._taken.add(unique)
        return unique


def records(lines: Iterable[str], dialect: Dialect, delimiter: str) -> Iterator[list[str]]:
    """Yield the records of CSV without blank lines. Raises ClickpipeError for an impossible dialect or broken CSV."""
    try:
        rows = csv.reader(
            lines,
            delimiter=delimiter,
            escapechar=dialect.escape,
            quotechar=dialect.quote or None,
            quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        )
        yield from filter(None, rows)
    except (TypeError, ValueError) as error:
        message = f"The CSV dialect is not one: {error}"
        raise ClickpipeError(message, code="bad_dialect") from None
    except csv.Error as error:
        message = f"The CSV file cannot be read: {error}"
        raise ClickpipeError(message, code="unreadable_file") from None


def whole_lines(text: str, *, cut: bool) -> str:
    """Return a sample without its last line if that may be incomplete."""
    end = max(text.rfind("\n"), text.rfind("\r"))
    return text[: end + 1] if cut and end >= 0 else text


def without_separator(data: bytes) -> tuple[bytes, str | None]:
    """Return the beginning of a file without the line `sep=;` that Excel writes and reads, and the delimiter in it."""
    found = _SEPARATOR.match(data)
    return (data[found.end() :], found[1].decode()) if found else (data, None)


def guess_delimiter(text: str, dialect: Dialect, columns: Sequence[str] = ()) -> str:
    """Return the delimiter with which the first row names the most columns, or has as many fields as columns.

    Failing that, the one that gives every row the same number of fields, more than one; else the comma.
    """
    beginning = "".join(islice(io.StringIO(text, newline=""), _LOOKED_AT))
    scores = {delimiter: _score(beginning, dialect, delimiter, columns) for delimiter in DELIMITERS}
    return max(DELIMITERS, key=scores.__getitem__)


def _score(text: str, dialect: Dialect, delimiter: str, columns: Sequence[str]) -> tuple[int, bool, bool, int]:
    try:
        rows = list(records(io.StringIO(text, newline=""), dialect, delimiter))
    except ClickpipeError:
        rows = []
    if not rows:
        return 0, False, False, 0
    counts = [len(row) for row in rows]
    same = len(set(counts)) == 1 and counts[0] > 1
    return sum(map(bool, matched(rows[0][:_MOST_NAMES], columns))), counts[0] == len(columns), same, counts[0]


def _plain(cell: str) -> str:
    return cell.strip().strip('"`')


def matched(cells: Sequence[str], columns: Sequence[str]) -> list[str]:
    """Return the column for each name in a header, or ''; each column is used once.

    A column may be named as in the file, or as `clickpipe datasource create` would rename it.
    """
    names, found, left = Names(), [""] * len(cells), set(columns)
    exact = list(map(_plain, cells))
    made = [names.of((cell,)) for cell in cells]
    if left.issuperset(made) and not (left.issuperset(exact) and len(set(exact)) == len(exact)):
        return made
    for candidates in (exact, made):
        for at, name in enumerate(candidates):
            if not found[at] and name in left:
                found[at] = name
                left.discard(name)
    return found


def _add_spread(cells: Sequence[str], fields: list[str], source: DataSource) -> set[str]:
    """Add to `fields` the names of tuples that are spread over all their fields; return the names of their columns."""
    exact, found = list(map(_plain, cells)), set[str]()
    for column in source.columns:
        names = [f"{column.name}.{name}" for name, _ in spread(column.type)]
        if names and column.name not in fields and all(exact.count(name) == 1 for name in names):
            places = list(map(exact.index, names))
            if not any(fields[at] for at in places):
                found.add(column.name)
                for at, name in zip(places, names, strict=True):
                    fields[at] = name
    return found


def _is_header(cells: Sequence[str], fields: Sequence[str], columns: Sequence[str]) -> bool:
    """Return whether a row is a header: it contains a column's exact name, or only names that match all columns."""
    if any(_plain(cell) in columns for cell in cells):
        return True
    return not any(_NO_NAME.match(cell) for cell in cells) and (all(fields) or all(name in fields for name in columns))


def layout_of(text: str, source: DataSource, dialect: Dialect, *, cut: bool) -> Layout:
    """Return the layout of the file that begins with `text`; `cut` means that the file goes on after it.

    Raises ClickpipeError for an impossible dialect, or if `dialect.header` is set and no column is named.
    """
    columns = tuple(c.name for c in source.columns)
    sample = whole_lines(text, cut=cut)
    delimiter = dialect.delimiter or guess_delimiter(sample, dialect, columns)
    first = next(records(io.StringIO(sample, newline=""), dialect, delimiter), None)
    if first is None or dialect.header is False or len(first) > _MOST_NAMES:
        return Layout(delimiter, columns)
    fields = matched(first, columns)
    spread_out = _add_spread(first, fields, source)
    if not any(fields) or not (dialect.header or _is_header(first, fields, columns)):
        if dialect.header:
            message = f"No name in the first row is a column of '{source.name}': {', '.join(first)}"
            raise ClickpipeError(message, code="no_columns_named")
        return Layout(delimiter, columns)
    ignored = tuple(name for name, column in zip(first, fields, strict=True) if not column)
    missing = tuple(name for name in columns if name not in fields and name not in spread_out)
    return Layout(delimiter, tuple(fields), header=True, ignored=ignored, missing=missing)
