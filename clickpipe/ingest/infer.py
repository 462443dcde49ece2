"""Infers a column's type from its values."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_FEW, _SHARE, _ENOUGH = 100, 0.1, 20  # LowCardinality: most distinct texts, their share of all, least values
_KEPT = 1_000  # distinct values to count
_INTEGERS = (("Int16", 2**15), ("Int32", 2**31), ("Int64", 2**63))
_ID = re.compile(r"(^|_)id$", re.IGNORECASE)
_IP = re.compile(r"(^|_)ip(_|$)|ip_?addr", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")
_TIME = re.compile(rf"{_DATE.pattern}[T ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{{1,9}})?(Z|[+-]\d\d:?\d\d)?")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_IPV4 = re.compile(r"((25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(25[0-5]|2[0-4]\d|1?\d?\d)")
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_LAST_DAYS = ("1970-01-01", "2149-06-06")  # of Date
_LAST_SECONDS = ("1970-01-01", "2106-02-07")  # of DateTime


@dataclass(slots=True)
class Seen:
    """A summary of one column's values, updated as they are read: it keeps only what types depend on."""

    kinds: set[str] = field(default_factory=set)
    values: int = 0
    rows: int = 0
    least: int = 0
    most: int = 0
    first: str = "9999"  # of dates, as texts
    last: str = ""
    digits: int = 0  # of seconds' fractions
    nulls: bool = False  # among an array's elements
    distinct: set[Any] = field(default_factory=set)

    def add(self, value: Any, *, numbers: bool = False) -> None:
        """Add a value that is not null; `numbers` treats numeric texts as numbers (CSV)."""
        self.values += 1
        if numbers and isinstance(value, str) and _NUMBER.fullmatch(value):
            value = int(value) if value.lstrip("-").isdigit() else float(value)
        self.kinds.add(self._kind(value))
        if len(self.distinct) < _KEPT and isinstance(value, str | int | float):
            self.distinct.add(value)

    def _kind(self, value: Any) -> str:
        if isinstance(value, bool):
            return "bool"
        if isinstance(value, int):
            self.least, self.most = min(self.least, value), max(self.most, value)
            return "int"
        if isinstance(value, float):
            return "float"
        if not isinstance(value, str):
            return "json"
        return self._text(value)

    def _text(self, text: str) -> str:
        if _DATE.match(text):
            self.first, self.last = min(self.first, text[:10]), max(self.last, text[:10])
            if _DATE.fullmatch(text):
                return "date"
            if (time := _TIME.fullmatch(text)) is not None:
                self.digits = max(self.digits, len(time[4] or ".") - 1)
                return "time"
        for kind, pattern in (("uuid", _UUID), ("ipv4", _IPV4)):
            if pattern.fullmatch(text):
                return kind
        return "text"

    def type(self, name: str) -> str:
        """Return the ClickHouse type for a column of this name, Nullable if some rows have no value."""
        plain = self.plain_type(name)
        few = len(self.distinct) <= min(_FEW, self.values * _SHARE) and self.values >= _ENOUGH
        nullable = self.values < self.rows or not self.values
        if plain == "String" and few:
            return "LowCardinality(Nullable(String))" if nullable else "LowCardinality(String)"
        return f"Nullable({plain})" if nullable else plain

    def plain_type(self, name: str) -> str:
        """Return the ClickHouse type of the values."""
        kinds = self.kinds
        if len(kinds) == 1:
            return _OF_ONE.get(next(iter(kinds)), _text_type)(self, name)
        if kinds == {"int", "float"}:
            return "Float64"
        if kinds == {"date", "time"}:
            return _time_type(self, name)
        return "String"


def _text_type(_seen: Seen, _name: str) -> str:
    return "String"


def _integer_type(seen: Seen, name: str) -> str:
    """Return the smallest type with room to grow: if numbers use more than half of its range, take the next."""
    if seen.least >= 0 and seen.most >= 2**63:
        return "UInt64" if seen.most < 2**64 else "String"
    if seen.least < -(2**63):
        return "String"
    if _ID.search(name):
        return "Int64"
    return next((type_ for type_, limit in _INTEGERS if max(seen.most, -seen.least) < limit // 2), "Int64")


def _date_type(seen: Seen, _name: str) -> str:
    return "Date" if _LAST_DAYS[0] <= seen.first and seen.last <= _LAST_DAYS[1] else "Date32"


def _time_type(seen: Seen, _name: str) -> str:
    if seen.digits:
        return "DateTime64(3)" if seen.digits <= 3 else "DateTime64(6)"  # noqa: PLR2004 - milliseconds
    return "DateTime" if _LAST_SECONDS[0] <= seen.first and seen.last < _LAST_SECONDS[1] else "DateTime64(3)"


def _ip_type(_seen: Seen, name: str) -> str:
    return "IPv4" if _IP.search(name) else "String"


_OF_ONE: dict[str, Callable[[Seen, str], str]] = {
    "bool": lambda _seen, _name: "Bool",
    "int": _integer_type,
    "float": lambda _seen, _name: "Float64",
    "date": _date_type,
    "time": _time_type,
    "uuid": lambda _seen, _name: "UUID",
    "ipv4": _ip_type,
}
