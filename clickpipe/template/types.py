"""The types that a template call may declare: how each validates a string, and how it binds.

To add a type, add an entry to `TYPES`. docs/templates.md describes the rules of the dialect.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from clickpipe.template.values import ParsedValue


@dataclass(frozen=True, slots=True)
class ParamType:
    """A declared type: its ClickHouse parameter type, its validation, a valid sample."""

    name: str
    bind: str
    parse: Callable[[str], ParsedValue]
    sample: str


def _integer(bits: int, *, signed: bool) -> Callable[[str], int]:
    low = -(1 << (bits - 1)) if signed else 0
    high = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1

    def parse(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return parse


def decimal(scale: int) -> Callable[[str], Decimal]:
    """Return a parser of decimal numbers with at most `scale` digits after the decimal point."""

    def parse(text: str) -> Decimal:
        try:
            value = Decimal(text)
        except InvalidOperation:
            raise ValueError(text) from None
        if not value.is_finite() or abs(value) >= 10 ** (DECIMAL_DIGITS - scale):
            raise ValueError(text)
        exponent = value.as_tuple().exponent
        if isinstance(exponent, int) and -scale <= exponent <= 0:
            return value
        if isinstance(exponent, int) and value and exponent < -_SMALLEST:
            raise ValueError(text)
        if not value:
            return Decimal(0)
        shorter = Decimal(int(value)) if value == value.to_integral_value() else round(value, scale)
        if value != shorter:
            raise ValueError(text)
        return shorter

    return parse


def _uuid(text: str) -> str:
    digits = text.strip("{}").replace("-", "").lower()
    if not _UUID.match(digits):
        raise ValueError(text)
    return "-".join(digits[a:b] for a, b in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)))


def _boolean(text: str) -> int:
    return 0 if text.lower() in {"0", "false"} else 1


def _matching(pattern: str) -> Callable[[str], str]:
    compiled = re.compile(pattern, re.ASCII)

    def parse(text: str) -> str:
        if not compiled.match(text):
            raise ValueError(text)
        return text

    return parse


def _day(pattern: str) -> Callable[[str], str]:
    """Return a parser of strings that match the pattern and start with a valid date, or ClickHouse's zero date."""
    matches = _matching(pattern)

    def parse(text: str) -> str:
        digits = re.sub(r"\D", "", matches(text)[:10])[:8]
        if digits != "0" * 8:
            date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
        return text

    return parse


DECIMAL_DIGITS, DECIMAL_SCALE = 38, 10
_SMALLEST = 1_000  # digits after the decimal point: a long tail of zeros is refused
SAMPLE_TEXT = "x"  # the value to check a String parameter with, if nothing says what it contains
_UUID = re.compile(r"[0-9a-f]{32}\Z")
_DATE = r"\d\d\d\d-\d\d-\d\d\Z"
_DATETIME = r"\d\d\d\d.?\d\d.?\d\d[T ]\d\d:\d\d:\d\d"

TYPES: dict[str, ParamType] = {
    t.name: t
    for t in (
        ParamType("String", "String", str, SAMPLE_TEXT),
        ParamType("Boolean", "UInt8", _boolean, "1"),
        ParamType("Date", "String", _day(_DATE), "2023-01-01"),
        ParamType("Date32", "String", _day(_DATE), "2023-01-01"),
        ParamType("UUID", "String", _uuid, "61f0c404-5cb3-11e7-907b-a6006ad3dba0"),
        ParamType("Decimal", f"Decimal({DECIMAL_DIGITS}, {DECIMAL_SCALE})", decimal(DECIMAL_SCALE), "1.5"),
        ParamType("DateTime", "String", _day(_DATETIME), "2023-01-01 00:00:00"),
        ParamType("DateTime64", "String", _day(_DATETIME + r"\.\d\d\d"), "2023-01-01 00:00:00.000"),
        ParamType("Float32", "Float32", float, "1.5"),
        ParamType("Float64", "Float64", float, "1.5"),
        ParamType("Int", "Int32", _integer(32, signed=True), "1"),
        ParamType("Integer", "Int32", _integer(32, signed=True), "1"),
        *(
            ParamType(f"{'Int' if signed else 'UInt'}{bits}", f"{'Int' if signed else 'UInt'}{bits}", parse, "1")
            for signed in (True, False)
            for bits in (8, 16, 32, 64, 128, 256)
            for parse in (_integer(bits, signed=signed),)
        ),
    )
}


def a_value_of(type_name: str, example: object) -> str:
    """Return what a parameter takes, in words: `an Int32, such as 1`."""
    return f"{'an' if type_name[0] in 'AI' else 'a'} {type_name}, such as {example}"


def agree(one: str, other: str) -> bool:
    """Return whether some string is valid for both types, given as calls declare them (`Int32`, `Array(String)`)."""
    first, second = (TYPES.get(name.removeprefix("Array(").removesuffix(")")) for name in (one, other))
    return first is None or second is None or _takes(first, second.sample) or _takes(second, first.sample)


def _takes(type_: ParamType, text: str) -> bool:
    try:
        type_.parse(text)
    except ValueError:
        return False
    return True


def validate(type_: ParamType, value: Any) -> ParsedValue:
    """Parse `value`, a string or a Python default.

    Raises ValueError with Tinybird's message if it is invalid.
    """
    text = str(int(value)) if isinstance(value, bool) else str(value)
    try:
        return type_.parse(text)
    except ValueError:
        raise ValueError(f"Error validating '{text}' to type {type_.name}") from None


def validate_items(type_: ParamType, value: Any) -> list[ParsedValue]:
    """Parse a comma-separated string, or a list of strings, to a list. Raises ValueError."""
    items = value if isinstance(value, list | tuple) else str(value).split(",")
    if len(items) == 1 and isinstance(value, list) and "," in str(items[0]):
        items = str(items[0]).split(",")
    parsed: list[ParsedValue] = []
    for number, item in enumerate(items):
        try:
            parsed.append(type_.parse(str(item)))
        except ValueError:
            shown = ",".join(str(i) for i in items)
            raise ValueError(f"Error validating [{shown}][{number}] ({item}) to type {type_.name}") from None
    return parsed
