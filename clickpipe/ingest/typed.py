"""Maps the typed columns of a file to those of a data source, as far as their values fit unchanged.

Values that fit by these rules are stored as ClickHouse casts them. Files with a column for which there is no rule, and
rows with a value that does not fit, are imported as JSON lines, where each value is checked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from clickpipe.columns import base, enum_names, holder, is_array, is_nullable
from clickpipe.ingest.extract import steps_of
from clickpipe.ingest.flat_nested import has_flat
from clickpipe.project import Column, DataSource, Each, Key
from clickpipe.sql import quote_identifier, quote_literal

_SAME = frozenset({"Bool", "Date32", "Float32", "Float64", "IPv4", "IPv6", "String", "UUID"})
_INTEGER = re.compile(r"(U?)Int(8|16|32|64)")
_WIDE = re.compile(r"U?Int(128|256)")
_BYTES = {"128": "FixedString(16)", "256": "FixedString(32)"}  # Parquet has no such integers: ClickHouse writes bytes
_TIME = re.compile(r"DateTime(?:64\((\d++).*|\(.*)?")
_DECIMAL = re.compile(r"Decimal(32|64|128|256)?\((?:(\d+),\s*)?(\d+)\)")
_DIGITS = {"32": 9, "64": 18, "128": 38, "256": 76}
_EXACT = 2**53  # largest integer up to which a Float64 represents all
# Range in which a time has the same meaning in all types, without zero dates and clamped ones.
_FIRST, _LAST = "1970-01-02 00:00:00", "2106-02-07 00:00:00"


@dataclass(frozen=True, slots=True)
class TypedColumns:
    """The statements that turn rows of a file into rows of a data source.

    `fit` is an SQL condition that holds for rows whose values fit.
    """

    fit: str
    _into: str
    _values: str

    def counts(self, table: str) -> str:
        """Return the SELECT of a table's number of rows, and of those that do not fit."""
        return f"SELECT count(), countIf(NOT ({self.fit})) FROM {table}"

    def insert(self, table: str, into: str) -> str:
        """Return the statement that inserts the rows of a table, all of which fit."""
        return f"INSERT INTO {into} ({self._into}) SELECT {self._values} FROM {table}"


def typed_columns(source: DataSource, file: Sequence[tuple[str, str]]) -> TypedColumns | None:
    """Map a file's columns (names and types) to a data source's; None if they have to go as JSON lines."""
    types = dict(file)
    values: dict[str, str] = {}
    fit: list[str] = []
    for number, column in enumerate(source.columns):
        steps = steps_of(source, number)
        name = steps[0].name if steps and isinstance(steps[0], Key) else ""
        if steps is None or (name and name not in types):
            if not _may_miss(column) or has_flat(column, steps, types):
                return None
            continue
        path = len(steps) == 1 or (len(steps) == 2 and isinstance(steps[1], Each))  # noqa: PLR2004 - `$.key[:]`
        if not name or not path or is_array(column.type) != (len(steps) > 1):
            return None
        conditions = _conditions(column, types[name], quote_identifier(name))
        if conditions is None:
            return None
        fit += conditions
        values[column.name] = f"CAST({_read(column, types[name], name)}, {quote_literal(_type(column))})"
    if not values:
        return None
    return TypedColumns(
        " AND ".join(fit) or "1",
        ", ".join(map(quote_identifier, values)),
        ", ".join(values.values()),
    )


def _may_miss(column: Column) -> bool:
    return column.nullable or column.default is not None or is_nullable(column.type) or is_array(column.type)


def _read(column: Column, type_: str, name: str) -> str:
    """Return SQL for a value of the file."""
    own, quoted = base(column.type), quote_identifier(name)
    return f"reinterpretAs{own}({quoted})" if _is_bytes_of(own, base(type_)) else quoted


def _is_bytes_of(own: str, given: str) -> bool:
    wide = _WIDE.fullmatch(own)
    return wide is not None and given == _BYTES[wide[1]]


def _type(column: Column) -> str:
    return f"Nullable({column.type})" if column.nullable and not is_nullable(column.type) else column.type


def _conditions(column: Column, type_: str, value: str) -> list[str] | None:
    """Return SQL conditions under which a value fits; None if there is no rule."""
    found = _fit(base(column.type), base(type_), value)
    if found is None or not is_nullable(type_):
        return found
    if column.nullable or is_nullable(column.type):
        return [f"ifNull({condition}, 1)" for condition in found] if column.default is None else None
    return [f"isNotNull({value})", *(f"ifNull({condition}, 0)" for condition in found)]


def _fit(own: str, given: str, value: str) -> list[str] | None:
    """Return SQL conditions under which a value of one type is valid in another; both without NULL."""
    if own == given and own in _SAME:
        return []
    if own == "Date" and given == "Date32":
        return [f"{value} BETWEEN toDate32('1970-01-01') AND toDate32('2149-06-06')"]
    if own.startswith("Enum") and given == "String":
        names = ", ".join(map(quote_literal, enum_names(own)))
        return [f"{value} IN ({names})"]
    if _is_bytes_of(own, given):
        return [f"NOT match({value}, '^[ -~]*$')"]  # else it may be a text
    for rule in (_whole_numbers, _decimals, _times, _elements):
        if (found := rule(own, given, value)) is not None:
            return found
    return None


def _whole_numbers(own: str, given: str, value: str) -> list[str] | None:
    number = _INTEGER.fullmatch(given)
    if number and own == "Float64":
        return [f"{value} BETWEEN {-_EXACT if not number[1] else 0} AND {_EXACT}"]
    target = _INTEGER.fullmatch(own)
    if number is None or target is None:
        return [] if own == "UInt8" and given == "Bool" else None
    low, high = _range(target)
    lowest, highest = _range(number)
    return [] if low <= lowest and highest <= high else [f"{value} BETWEEN {max(low, lowest)} AND {min(high, highest)}"]


def _range(integer: re.Match[str]) -> tuple[int, int]:
    bits = int(integer[2])
    return (0, 2**bits - 1) if integer[1] else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _decimals(own: str, given: str, _value: str) -> list[str] | None:
    target, number = _DECIMAL.fullmatch(own), _DECIMAL.fullmatch(given)
    if target is None or number is None:
        return None
    (digits, scale), (given_digits, given_scale) = _digits(target), _digits(number)
    return [] if given_scale <= scale and given_digits - given_scale <= digits - scale else None


def _digits(decimal: re.Match[str]) -> tuple[int, int]:
    """Return a Decimal's number of digits, and how many of them are after the point."""
    return _DIGITS[decimal[1]] if decimal[1] else int(decimal[2] or 10), int(decimal[3])


def _times(own: str, given: str, value: str) -> list[str] | None:
    target, time = _TIME.fullmatch(own), _TIME.fullmatch(given)
    if target is None or time is None or time[1] is None:
        return None
    first, last = (f"toDateTime64('{edge}', 0, 'UTC')" for edge in (_FIRST, _LAST))
    return [f"{value} >= {first} AND {value} < {last}"]


def _elements(own: str, given: str, value: str) -> list[str] | None:
    target, array = holder(own), holder(given)
    if target is None or array is None or (target[0], array[0]) != ("Array", "Array"):
        return None
    (own_element,), (element,) = target[1], array[1]
    if holder(base(own_element)):
        return None
    found = _fit(base(own_element), base(element), "e")
    if found is not None and is_nullable(element):
        null = "1" if is_nullable(own_element) else "0"
        found = [f"ifNull({condition}, {null})" for condition in found]
        found += [] if is_nullable(own_element) else ["isNotNull(e)"]
    return [f"arrayAll(e -> {condition}, {value})" for condition in found] if found is not None else None
