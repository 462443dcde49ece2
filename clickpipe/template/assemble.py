"""Assembles the SQL from the output of a template run: the author's text, and placeholders for values.

A value inside a quoted string of the author's (`'%{{String(q)}}%'`) becomes part of the string without entering the
SQL: it is written as `concat('%', {q:String}, '%')`. Where quotes open and close is read from the author's text alone,
so it depends on the branches that ran, never on values.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from clickpipe.template.binding import Binder
from clickpipe.template.environment import MARK, Emitted
from clickpipe.template.errors import TemplateError
from clickpipe.template.shape import Stretch
from clickpipe.template.values import MOST, MOST_PIECES, NOTHING, Binding, Fragment, Pieces, Setting, Text, typed

_OPENS = re.compile(r"--|#[ !]|/\*|['`\"]")
# After these, ClickHouse's grammar accepts only a literal, never a parameter.
_IN_TYPE = r"(?:::\s*|\bAS\s+)[A-Z]\w*\s*\((?:[\w\s,(]|\([\w\s,]*\)|'[^']*')*"  # inside the arguments of a type
_AND_TEXTS = rf"\b(?:COLLATE|ESCAPE|COLUMNS\s*\()\s*|{_IN_TYPE}"
_LITERAL_ONLY = re.compile(rf"(?:\bSAMPLE(?:\s+\S+\s+OFFSET)?\s*|{_AND_TEXTS})$", re.IGNORECASE)
_TEXT_ONLY = re.compile(rf"(?:\b(?:DATE|TIMESTAMP|INTERVAL)\s*|{_AND_TEXTS})$", re.IGNORECASE)  # before a quote
_BEHIND_INTERVAL = re.compile(r"\bINTERVAL\s*$", re.IGNORECASE)
_UNITS = "NANOSECOND|MICROSECOND|MILLISECOND|SECOND|MINUTE|HOUR|DAY|WEEK|MONTH|QUARTER|YEAR"
_INTERVAL = re.compile(rf"\s*(?P<number>-?\d{{1,18}})\s+(?P<unit>(?:{_UNITS})S?)\s*\Z", re.IGNORECASE | re.ASCII)
_LOOK_BACK, _MOST_BEFORE = 80, 400  # characters
_PIECE = MOST // MOST_PIECES  # the cost of a piece, in characters
_ESCAPES = str.maketrans(
    {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0", "\b": "\\b", "\f": "\\f"}
)
_COMMENT_ENDS = {"--": "\n", "# ": "\n", "#!": "\n", "/*": "*/"}
_CLOSES = {
    "'": re.compile(r"(?:[^'\\]|\\.|'')*(?P<end>'(?!'))?", re.DOTALL),
    "`": re.compile(r"(?:[^`\\]|\\.|``)*(?P<end>`(?!`))?", re.DOTALL),
    '"': re.compile(r'(?:[^"\\]|\\.|"")*(?P<end>"(?!"))?', re.DOTALL),
}


@dataclass(slots=True)
class Part:
    """A part of rendered SQL: its text, its offset in the template, and how many of its characters are the author's."""

    text: str
    offset: int
    length: int
    literal: bool = False  # contains a value as a literal


def assemble(pieces: Sequence[Any], stretches: Sequence[Stretch], binder: Binder) -> list[Part]:
    """Return the parts of the SQL in order. Raises TemplateError for a value where none is allowed."""
    return _Assembly(stretches, binder).parts_of(pieces)


class _Assembly:
    def __init__(self, stretches: Sequence[Stretch], binder: Binder) -> None:
        self._stretches = stretches
        self._binder = binder
        self._parts: list[Part] = []
        self._last = 0  # offset in the template after the latest stretch
        self._quote = ""  # the open quote
        self._comment = ""  # what ends the open comment
        self._opened: Part | None = None  # ends with the open quote, which holds no value yet
        self._joined = False  # a value was added to the open string
        self._left = MOST  # characters, and pieces, that may still be output

    def parts_of(self, pieces: Sequence[Any]) -> list[Part]:
        self._add(pieces)
        return self._parts

    def _add(self, pieces: Sequence[Any]) -> None:
        for piece in pieces:
            self._spend(_PIECE)
            if type(piece) is str:
                for number in piece.split(MARK)[1:]:
                    self._stretch(self._stretches[int(number)])
            else:
                self._emitted(piece.value if type(piece) is Emitted else piece)

    def _emitted(self, value: Any) -> None:
        if isinstance(value, Pieces):
            self._add(value)
        elif isinstance(value, Setting):
            self._binder.settings.update(value.values)
        elif value is NOTHING:
            self._text("NULL")
        elif isinstance(value, Fragment):
            self._spend(_PIECE * len(value.parts))
            for part in value.parts:
                self._text(part) if isinstance(part, Text) else self._value(part)
        else:
            self._value(value)

    def _text(self, text: str) -> None:
        if self._quote:
            message = "a name cannot be used inside a quoted string or name"
            raise TemplateError(message)
        self._parts.append(Part(text, self._last, 0))

    def _value(self, value: Any) -> None:
        if self._literal_only():
            self._parts.append(Part(_literal(value, quoted=not self._quote), self._last, 0, literal=True))
            return
        if not self._quote and isinstance(value, str) and (interval := _INTERVAL.match(value)) and self._in_interval():
            self._interval(value, int(interval["number"]), interval["unit"].upper())
            return
        placeholder, type_ = self._binder.bind(value)
        if not self._quote:
            self._parts.append(Part(placeholder, self._last, 0))
            return
        if self._quote != "'":
            message = f"a value cannot be used inside a name quoted with {self._quote}; use column() for names"
            raise TemplateError(message)
        if not self._joined and self._opened is not None:  # the quote is the last character of its part
            head = self._opened
            head.text, head.length = head.text[:-1], head.length - 1
            at = next(n for n in range(len(self._parts), 0, -1) if self._parts[n - 1] is head)
            self._parts.insert(at, Part("concat('", head.offset + head.length, 0))
        self._joined = True
        text = placeholder if type_ == "String" else f"toString({placeholder})"
        self._parts.append(Part(f"', {text}, '", self._last, 0))

    def _in_interval(self) -> bool:
        before = ""
        for part in reversed(self._parts):
            before = part.text + before
            if len(before) > _LOOK_BACK:
                break
        return not self._comment and _BEHIND_INTERVAL.search(before) is not None

    def _interval(self, value: str, number: int, unit: str) -> None:
        """Write `INTERVAL {{String(step, '1 hour')}}`: bind the number, and write the unit as ClickHouse's keyword."""
        name = getattr(getattr(value, "binding", None) or value, "name", "interval")
        placeholder, _ = self._binder.bind(typed(number, Binding(name, "Int64", f"{number} of an interval")))
        self._parts.append(Part(f"{placeholder} {unit}", self._last, 0, literal=True))

    def _literal_only(self) -> bool:
        """Return whether ClickHouse accepts only a literal here; inside a string, whether the string has to be one."""
        if self._quote not in {"", "'"} or self._comment or self._joined:
            return False
        before = ""
        parts = reversed(self._parts)
        if self._quote:
            parts = itertools.dropwhile(lambda part: part is not self._opened, parts)
        for part in parts:
            before = (part.text + before)[-_MOST_BEFORE:]
            if len(before) > _LOOK_BACK:
                break
        found = _TEXT_ONLY.search(before[:-1]) if self._quote else _LITERAL_ONLY.search(before)
        return found is not None

    def _spend(self, characters: int) -> None:
        self._left -= characters
        if self._left < 0:
            message = f"the template produces more than {MOST} characters of SQL, or {MOST // _PIECE} pieces"
            raise TemplateError(message)

    def _stretch(self, stretch: Stretch) -> None:
        text, offset = stretch.text, stretch.offset
        self._spend(len(text))
        self._last = offset + len(text)
        at = start = 0
        while at < len(text):
            if self._comment:
                end = text.find(self._comment, at)
                if end < 0:
                    break
                at, self._comment = end + len(self._comment), ""
            elif self._quote:
                at, start = self._inside(text, at, start, offset)
            else:
                match = _OPENS.search(text, at)
                if match is None:
                    break
                at = match.end()
                self._comment = _COMMENT_ENDS.get(match[0], "")
                if not self._comment:
                    self._quote, self._joined = match[0], False
                    self._opened = self._author(text, start, at, offset)
                    start = at
        self._author(text, start, len(text), offset)

    def _inside(self, text: str, at: int, start: int, offset: int) -> tuple[int, int]:
        """Continue to the end of the open quote, if any; return the position, and where pending text starts."""
        match = _CLOSES[self._quote].match(text, at)
        assert match is not None  # noqa: S101 - the pattern takes an empty text
        if match["end"] is None:
            return len(text), start
        at = match.end()
        self._quote, self._opened = "", None
        if self._joined:
            self._author(text, start, at, offset)
            self._parts.append(Part(")", offset + at, 0))
            return at, at
        return at, start

    def _author(self, text: str, start: int, end: int, offset: int) -> Part:
        part = Part(text[start:end], offset + start, end - start)
        self._parts.append(part)
        return part


def _literal(value: Any, *, quoted: bool) -> str:
    """Return a value as a ClickHouse literal; a string without its quotes if it is already inside some."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int | Decimal):
        return format(value, "f") if isinstance(value, Decimal) else str(int(value))
    if isinstance(value, float) and math.isfinite(value):
        return repr(float(value))
    if not isinstance(value, str):
        message = f"a value of type {type(value).__name__} cannot be used here"
        raise TemplateError(message)
    escaped = str(value).translate(_ESCAPES)
    return f"'{escaped}'" if quoted else escaped
