"""SQL that parses a string as a date or time, or returns NULL if it is none. Rules: docs/ingestion.md.

ClickHouse's best-effort parser reads a few digits as a day of this year, and a bare time as one of today: the result
would depend on when it runs. Such strings are excluded.
"""

from __future__ import annotations

import re

from clickpipe.sql import quote_literal

_DATETIME = re.compile(r"^DateTime(?:\(\s*('[^']*')\s*\))?$")
_DATETIME64 = re.compile(r"^DateTime64\(\s*(\d+)\s*(?:,\s*('[^']*')\s*)?\)$")
_TIME_OF_DAY = re.compile(r"^Time(?:64\(\s*(\d+)\s*\)|64)?$")
_LONGEST_TIME = 3_600_000  # seconds: 999:59:59 is the last time, and casts stop there
_SECONDS = r"'^[+-]?[0-9]+([.][0-9]*)?$'"
_LAST_DAY = 2**16 - 1
_DAYS = (-25_567, 120_529)  # range of Date32: 1900 to 2299
_FEW_DIGITS = r"'^[+-]?[0-9]{1,8}([.][0-9]*)?$'"  # a number, to be read as seconds regardless of its size
_CUT_DAY = r"'^[+-]?[0-9]{1,6}[.]'"
_CALENDAR = r"'^([0-9]{4}|[0-9]{6}|[0-9]{8})$'"  # a string: year, month, day
_PLAIN = r"'^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-'"  # most values; other dates are examined further
_YEAR = r"'^[0-9]{9,}([.]|$)|(^|[ /.,]|[0-9A-Za-z]-)[0-9]{4}|[0-9]{1,2}[/.-][0-9]{1,2}[/.-][0-9]{2}'"
_BEFORE_A_DATE = r"'^ *[0-9]{1,2}:|^[^0-9]*0000'"  # a time without a date, and the zero date


def number_by_its_looks(raw: str) -> str:
    """Return SQL for whether an unquoted value is a number rather than a calendar date."""
    return f"NOT match({raw}, {_CALENDAR})"


def time_of(own: str, raw: str, number: str) -> str | None:
    """Return SQL that converts a string to a date, a time or both; None for another type.

    `number` is an SQL condition: whether the value is a JSON number.
    """
    if match := _DATETIME.match(own):
        zone = f", {match[1]}" if match[1] else ""
        moment = _moment(raw, number, "0", zone)
        return f"accurateCastOrNull(toInt64({moment}), {quote_literal(own)})"
    if match := _DATETIME64.match(own):
        return _moment(raw, number, match[1], f", {match[2]}" if match[2] else "")
    if _TIME_OF_DAY.match(own):
        return _time_of_day(own, raw)
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


def _time_of_day(own: str, raw: str) -> str:
    """Return SQL that parses a string as hours, minutes and seconds, or as seconds if it is a number.

    ClickHouse's parser takes numbers of one and two digits only.
    """
    seconds = f"toInt32OrNull({raw})" if own == "Time" else f"toDecimal64OrNull({raw}, 9)"
    within = f"if(abs({seconds}) < {_LONGEST_TIME}, {seconds}, NULL)"
    by_number = f"CAST({within}, {quote_literal(f'Nullable({own})')})"
    return f"if(match({raw}, {_SECONDS}), {by_number}, accurateCastOrNull({raw}, {quote_literal(own)}))"


def _moment(raw: str, number: str, scale: str, zone: str) -> str:
    """Return SQL that parses a string by best effort if it contains a date, or as seconds if it is a number.

    ClickHouse takes at least 0.03 ms to plan each function of a statement: fewer functions make small inserts faster.
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
