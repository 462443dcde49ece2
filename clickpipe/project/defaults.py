"""Defaults that a column's type cannot hold: `DateTime DEFAULT ''`, `Date DEFAULT '2026-02-31'`.

In practice, Tinybird used the type's zero value for them; so do we, with a warning. Invalid dates that ClickHouse
converts to another day (31 February becomes 3 March, for a Date) are left to it, with a warning, too.
"""

from __future__ import annotations

import re

from clickpipe.diagnostics import Diagnostic, Severity, Word
from clickpipe.template import is_zero, odd_moment, out_of_range

_WRAPPER = re.compile(r"^(Nullable|LowCardinality)\((.*)\)$", re.DOTALL)
_TEXT = re.compile(r"'((?:[^'\\]|\\.|'')*)'", re.DOTALL)
_LITERAL = re.compile(r"^'((?:[^'\\]|\\.|'')*)'$", re.DOTALL)
_NUMBER = r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?"
_DATE = r"\d{4}-\d{1,2}-\d{1,2}|\d{8}|\d{1,5}"
_TIME = r"\d+(\.\d+)?|(\d{4}-\d{1,2}-\d{1,2}|\d{8})([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)?(Z|[+-]\d{2}:?\d{2})?"
# By prefix of the type's name: the pattern of strings that it accepts, and its zero value.
_FORMS: tuple[tuple[str, str, str], ...] = (
    ("DateTime64", _TIME, "0"),
    ("DateTime", _TIME, "0"),
    ("Date", _DATE, "0"),
    ("UInt", _NUMBER, "0"),
    ("Int", _NUMBER, "0"),
    ("Float", rf"{_NUMBER}|[+-]?(inf|nan|infinity)", "0"),
    ("BFloat", rf"{_NUMBER}|[+-]?(inf|nan|infinity)", "0"),
    ("Decimal", _NUMBER, "0"),
    ("Bool", r"true|false|0|1|yes|no|on|off|t|f|y|n", "false"),
    ("UUID", r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}", "'00000000-0000-0000-0000-000000000000'"),
    ("IPv4", r"\d+(\.\d+){3}", "'0.0.0.0'"),
    ("IPv6", r"[0-9a-fA-F.]*+:[0-9a-fA-F:.]*+|\d+(\.\d+){3}", "'::'"),
    ("Array(", r"\s*\[.*", "[]"),
    ("Map(", r"\s*\{.*", "map()"),
    ("Tuple(", r"\s*\(.*", "tuple()"),
    ("JSON", r"\s*\{.*", "'{}'"),
)


def fitting_default(type_: str, default: Word) -> tuple[Word, Diagnostic | None]:
    """Return a column's default, or its type's zero value and a warning if the type cannot hold the default."""
    literal = _LITERAL.match(default.text.strip())
    if literal is None:
        return default, _odd_within(type_, default)
    bare, nullable = type_.strip(), False
    while (wrapped := _WRAPPER.match(bare)) is not None:
        nullable = nullable or wrapped[1] == "Nullable"
        bare = wrapped[2].strip()
    if bare.startswith("Enum") and "''" not in bare and literal[1] == "":
        form: tuple[str, str, str] | None = ("Enum", r"(?!)", "one of its values")
    else:
        form = next((f for f in _FORMS if bare.startswith(f[0])), None)
    if form is None:
        return default, None
    refused = not re.fullmatch(form[1], literal[1], re.DOTALL | re.IGNORECASE)
    if not refused and bare.startswith("Date"):
        refused, odd = _odd_date(bare, literal[1])
        if odd and not refused:
            hint = "write a time that the type can hold, or DEFAULT 0 for none"
            return default, Diagnostic("CP1107", f"{default.text} {odd}", default.span, Severity.WARNING, hint)
    if not refused:
        return default, None
    zero = "NULL" if nullable else form[2]
    message = f"{default.text} is not a valid {bare}: the type's zero value is used instead"
    hint = f"write DEFAULT {zero}"
    return Word(f"defaultValueOfTypeName({_quoted(type_)})", default.span), Diagnostic(
        "CP1107", message, default.span, Severity.WARNING, hint
    )


def _odd_within(type_: str, default: Word) -> Diagnostic | None:
    """Return a warning for the first string in an expression (`['2026-13-01']`) that looks like a date but is none."""
    if "Date" not in type_:
        return None
    for text in _TEXT.finditer(default.text):
        odd = odd_moment(text[1])
        if odd:
            hint = "write a date that exists: ClickHouse refuses this one, or reads it as another"
            return Diagnostic("CP1107", f"{text[0]} {odd}", default.span, Severity.WARNING, hint)
    return None


def _odd_date(type_: str, text: str) -> tuple[bool, str]:
    """Return whether ClickHouse refuses a string that looks like a date, and what is wrong with it ('' if nothing)."""
    odd, holds = odd_moment(text), out_of_range(type_, text)
    if type_.startswith("DateTime") and (is_zero(text) or odd.endswith(" date")):
        return True, odd
    if odd:
        return False, f"{odd}: ClickHouse reads it as another {type_}"
    return False, f"is outside {holds}: ClickHouse uses the nearest {type_}" if holds else ""


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
