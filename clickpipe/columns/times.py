"""Dates and times: SQL that parses a text as one, NULL where it is none. Rules: docs/ingestion.md.

ClickHouse's best-effort parser reads few digits as a day of this year, and a bare time as one of today: what it makes
of such a text depends on when it is read. They are kept from it.
"""

from __future__ import annotations

import re

from clickpipe.sql import quote_literal

_DATETIME = re.compile(r"^DateTime(?:\(\s*('[^']*')\s*\))?$")
_DATETIME64 = re.compile(r"^DateTime64\(\s*(\d+)\s*(?:,\s*('[^']*')\s*)?\)$")
_LAST_DAY = 2**16 - 1
_DAYS = (-25_567, 120_529)  # of Date32: 1900 to 2299
_FEW_DIGITS = r"'^[+-]?[0-9]{1,8}([.][0-9]*)?$'"  # a number that is seconds, whatever its size
_CUT_DAY = r"'^[+-]?[0-9]{1,6}[.]'"
_CALENDAR = r"'^([0-9]{4}|[0-9]{6}|[0-9]{8})$'"  # a text: year, month, day
_PLAIN = r"'^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-'"  # most of what comes; other dates are looked at
_YEAR = r"'^[0-9]{9,}([.]|$)|(^|[ /.,]|[0-9A-Za-z]-)[0-9]{4}|[0-9]{1,2}[/.-][0-9]{1,2}[/.-][0-9]{2}'"
_BEFORE_A_DATE = r"'^ *[0-9]{1,2}:|^[^0-9]*0000'"  # a time without one, and the zero date


def number_by_its_looks(raw: str) -> str:
    """Return SQL that tells whether a text is a number and not a calendar date, where its quotes are not known."""
    return f"NOT match({raw}, {_CALENDAR})"


def time_of(own: str, raw: str, number: str) -> str | None:
    """Return SQL for a text as a Date, Date32, DateTime or DateTime64; None for another type.

    `number` is SQL that tells whether the text is a JSON number.
    """
    if match := _DATETIME.match(own):
        zone = f", {match[1]}" if match[1] else ""
        moment = _moment(raw, number, "0", zone)
        return f"accurateCastOrNull(toInt64({moment}), {quote_literal(own)})"
    if match := _DATETIME64.match(own):
        return _moment(raw, number, match[1], f", {match[2]}" if match[2] else "")
    if own not in {"Date", "Date32"}:
        return None
    small, large = (0, _LAST_DAY) if own == "Date" else _DAYS
    days = f"accurateCastOrNull({raw}, 'Int32')"
    by_number = f"ifNull({days} BETWEEN {small} AND {large}, 0) AND ({number})"
    day = f"toDate32({_moment(raw, number, '0', '')})"
    if own == "Date":
        day = f"if(toInt32({day}) BETWEEN 0 AND {_LAST_DAY}, toDate({day}), NULL)"
    cut = f"match({raw}, {_CUT_DAY}) AND ({number})"
    return f"multiIf({by_number}, CAST({days}, 'Nullable({own})'), {cut}, NULL, {day})"


def _moment(raw: str, number: str, scale: str, zone: str) -> str:
    """Return SQL that parses a text by best effort where its date is told, as seconds where it is a number.

    ClickHouse plans each function of a statement for 0.03 ms or more: the fewer, the better for a small insert.
    """
    parsed = f"parseDateTime64BestEffortOrNull({raw}, {scale}{zone})"
    seconds = f"CAST(toDecimal64OrNull({raw}, 9), {quote_literal(f'Nullable(DateTime64({scale}{zone}))')})"
    few = seconds if number == "1" else f"if(match({raw}, {_CALENDAR}), {parsed}, NULL)"
    if number not in {"0", "1"}:
        few = f"if({number}, {seconds}, {few})"
    return (
        f"multiIf(match({raw}, {_PLAIN}), {parsed}, match({raw}, {_FEW_DIGITS}), {few}, "
        f"match({raw}, {_YEAR}) AND NOT match({raw}, {_BEFORE_A_DATE}), {parsed}, NULL)"
    )
