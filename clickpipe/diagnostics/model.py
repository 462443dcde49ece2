"""Diagnostics, spans, and the texts that spans refer to."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A range of characters in a file: `start` inclusive, `end` exclusive."""

    file: str
    start: int
    end: int

    def sub(self, start: int, end: int) -> Span:
        """Return the part of this span from `start` to `end`, both relative to its start."""
        return Span(self.file, self.start + start, self.start + end)


@dataclass(frozen=True, slots=True)
class Word:
    """A piece of text without its quotes, and its span, also without the quotes."""

    text: str
    span: Span

    def __str__(self) -> str:
        """Return the text."""
        return self.text


class Severity(StrEnum):
    """The severity of a diagnostic. Only errors stop a build."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Related:
    """Another place that explains a diagnostic ("first defined here")."""

    message: str
    span: Span


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem: a stable code, a short message, its place, and how to fix it."""

    code: str
    message: str
    span: Span
    severity: Severity = Severity.ERROR
    hint: str = ""
    related: tuple[Related, ...] = ()


@dataclass(frozen=True, slots=True)
class Position:
    """Line and column, both counted from 1, columns in characters."""

    line: int
    column: int


class SourceText:
    """A file's text with an index of its lines."""

    def __init__(self, text: str) -> None:
        """Index `text`; lines end at LF only, as editors count them."""
        self.text = text
        starts = [0]
        find = text.find
        at = find("\n")
        while at >= 0:
            starts.append(at + 1)
            at = find("\n", at + 1)
        self._starts = starts

    def position(self, offset: int) -> Position:
        """Return the line and column of a character offset (clamped to the text)."""
        offset = max(0, min(offset, len(self.text)))
        line = bisect_right(self._starts, offset)
        return Position(line, offset - self._starts[line - 1] + 1)

    def offset(self, line: int, column: int) -> int:
        """Return the character offset of a line and column (clamped to the text)."""
        start = self._starts[max(0, min(line, len(self._starts)) - 1)]
        return min(start + max(0, column - 1), len(self.text))

    def line(self, number: int) -> str:
        """Return the line with this number (from 1), without its line end; '' if there is none."""
        if not 1 <= number <= len(self._starts):
            return ""
        start = self._starts[number - 1]
        end = self._starts[number] if number < len(self._starts) else len(self.text)
        return self.text[start:end].rstrip("\r\n")


@dataclass(slots=True)
class Sources:
    """The texts of a project by file name (relative, with `/`), to convert offsets to lines."""

    texts: Mapping[str, str] = field(default_factory=dict)
    _index: dict[str, SourceText] = field(default_factory=dict)

    def source(self, file: str) -> SourceText:
        """Return the indexed text of `file`, or an empty one if the file is unknown."""
        found = self._index.get(file)
        if found is None:
            found = self._index[file] = SourceText(self.texts.get(file, ""))
        return found

    def position(self, span: Span) -> Position:
        """Return where the span starts."""
        return self.source(span.file).position(span.start)


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    """Return whether any of the diagnostics is an error."""
    return any(d.severity is Severity.ERROR for d in diagnostics)


def sort_diagnostics(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Return the diagnostics without duplicates, sorted by file and position."""
    unique = dict.fromkeys(diagnostics)
    return sorted(unique, key=lambda d: (d.span.file, d.span.start, d.code, d.message))
