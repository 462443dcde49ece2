"""How a CSV file is written, and which of its fields are which columns: told, or seen in its beginning."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from clickpipe.diagnostics import ClickpipeError
from clickpipe.project import DataSource

DELIMITERS = ",;\t|"
_ODD = re.compile(r"\W+", re.ASCII)
_LITERALS = frozenset({"null", "true", "false", "nan", "inf", "infinity"})  # what SQL reads as values in a key
_NO_NAME = re.compile(r"\\N$|[\s\d.,:+-]*$")
_RESERVED = ("c__error", "c__error_column", "c__import_id", "c__insertion_date")  # a quarantine's own columns
NO_VALUE = "\\N"  # what stands for NULL in a field
_LOOKED_AT = 50  # lines
_MOST_NAMES = 10_000  # of a header: a row with more fields is none


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is written; None: as its beginning looks. `header`: whether the first row has names."""

    delimiter: str | None = None
    escape: str | None = None
    quote: str = '"'
    header: bool | None = None
    charset: str = ""

    @property
    def is_plain(self) -> bool:
        """Tell whether ClickHouse reads it as it is."""
        return self.escape is None and self.quote == '"'


@dataclass(frozen=True, slots=True)
class Layout:
    """The fields of a CSV file: the column of each, '' for those that no column takes.

    `ignored` are names in the header that are no columns, `missing` the columns that it does not name.
    """

    delimiter: str
    fields: tuple[str, ...]
    header: bool = False
    ignored: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, list[str]]:
        """Return what an import tells of it."""
        found = {"ignored_columns": list(self.ignored), "missing_columns": list(self.missing)}
        return {key: names for key, names in found.items() if names}


class Names:
    """Names of columns, each once, made of what files call them."""

    def __init__(self) -> None:
        """Start with no name taken but those of a quarantine's own columns."""
        self._taken = set(_RESERVED)
        self._numbers: dict[str, int] = {}  # the last one behind each name: a file may have a million of one name

    def of(self, path: Sequence[str]) -> str:
        """Return a name for what is at a path; a number behind it where it is taken."""
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
    """Yield the records of CSV, leaving out blank lines. Raises ClickpipeError for a dialect that there is not."""
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
    """Return a sample without its last line where that may be cut off."""
    end = max(text.rfind("\n"), text.rfind("\r"))
    return text[: end + 1] if cut and end >= 0 else text


def guess_delimiter(text: str, dialect: Dialect, columns: Sequence[str] = ()) -> str:
    """Return the delimiter that names most columns in the first row, or gives as many fields as there are columns.

    Without either it is the one that gives every row the same number of fields, more than one; a comma at last.
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
    """Return for each name in a header the column that it is, '' where it is none, each column once.

    A column may be called as the file has it, or as `clickpipe datasource create` makes it of that.
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


def _is_header(cells: Sequence[str], fields: Sequence[str], columns: Sequence[str]) -> bool:
    """Tell whether a row is a header: it has a column's own name, or is made of names that could be those of all."""
    if any(_plain(cell) in columns for cell in cells):
        return True
    return not any(_NO_NAME.match(cell) for cell in cells) and (all(fields) or all(name in fields for name in columns))


def layout_of(text: str, source: DataSource, dialect: Dialect, *, cut: bool) -> Layout:
    """Return how the file that begins with `text` is laid out; `cut`: it goes on behind that.

    Raises ClickpipeError for a dialect that there is not, and a header (`dialect.header`) that names no column.
    """
    columns = tuple(c.name for c in source.columns)
    sample = whole_lines(text, cut=cut)
    delimiter = dialect.delimiter or guess_delimiter(sample, dialect, columns)
    first = next(records(io.StringIO(sample, newline=""), dialect, delimiter), None)
    if first is None or dialect.header is False or len(first) > _MOST_NAMES:
        return Layout(delimiter, columns)
    fields = matched(first, columns)
    if not any(fields) or not (dialect.header or _is_header(first, fields, columns)):
        if dialect.header:
            message = f"No name in the first row is a column of '{source.name}': {', '.join(first)}"
            raise ClickpipeError(message, code="no_columns_named")
        return Layout(delimiter, columns)
    ignored = tuple(name for name, column in zip(first, fields, strict=True) if not column)
    missing = tuple(name for name in columns if name not in fields)
    return Layout(delimiter, tuple(fields), header=True, ignored=ignored, missing=missing)
