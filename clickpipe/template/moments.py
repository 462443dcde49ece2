"""Finds strings that look like a date or time but are none, or lie outside a type's range."""

from __future__ import annotations

import re
from datetime import date

_MOMENT = re.compile(
    r"(?P<year>\d{4})(?P<between>\D?)(?P<month>\d{1,2})(?P=between)(?P<day>\d{1,2})"
    r"(?:[T ](?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?)?(?!\d)",
    re.ASCII,
)
_RANGES = {
    "Date": (date(1970, 1, 1), date(2149, 6, 6)),
    "DateTime": (date(1970, 1, 1), date(2106, 2, 7)),
}


def is_zero(text: str) -> bool:
    """Return whether a string is the zero date, `0000-00-00`, with or without a time."""
    return text.startswith("0000") and not text.strip("0-: .T")


def odd_moment(text: str) -> str:
    """Return what is wrong with a string that looks like a date or time; '' for other strings and the zero date."""
    moment = _MOMENT.match(text)
    if moment is None or is_zero(text):
        return ""
    try:
        date(int(moment["year"]), int(moment["month"]), int(moment["day"]))
    except ValueError:
        return "is not a valid date"
    hour, minute, second = (int(moment[part] or 0) for part in ("hour", "minute", "second"))
    return "" if hour < 24 and minute < 60 and second < 60 else "is not a valid time"  # noqa: PLR2004 - a day's parts


def out_of_range(type_: str, text: str) -> str:
    """Return the range of days of a ClickHouse type (`1970-01-01 to 2149-06-06`) if a date lies outside it; else ''."""
    name = type_.partition("(")[0]
    moment = _MOMENT.match(text)
    if name not in _RANGES or moment is None or is_zero(text) or odd_moment(text):
        return ""
    first, last = _RANGES[name]
    day = date(int(moment["year"]), int(moment["month"]), int(moment["day"]))
    return "" if first <= day <= last else f"{first} to {last}"
