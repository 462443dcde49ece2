"""Parses SCHEMA blocks to column definitions: plain ones by a pattern, others by the grammar."""

from __future__ import annotations

import re

from clickpipe.concurrency import remembered
from clickpipe.datafile.plain import plain_columns, plain_type
from clickpipe.datafile.syntax import ColumnDef, TypeExpr
from clickpipe.diagnostics import Diagnostic, Related, Span, Word


def parse_schema(block: Word) -> tuple[list[ColumnDef], list[Diagnostic]]:
    """Return the columns of a SCHEMA block, and a diagnostic for each column that cannot be parsed."""
    diagnostics: list[Diagnostic] = []
    columns: list[ColumnDef] | Diagnostic = plain_columns(block, read_type) or by_grammar(block)
    if isinstance(columns, Diagnostic):
        columns, diagnostics = _column_by_column(block)
    return columns, diagnostics + _duplicates(columns)


def by_grammar(block: Word) -> list[ColumnDef] | Diagnostic:
    """Return the columns parsed by the grammar, or the diagnostic where it stops."""
    from clickpipe.datafile.grammar import parse_columns  # on demand: lark takes time to load

    return parse_columns(block)


@remembered(1_000_000)
def read_type(text: str) -> TypeExpr | None:
    """Parse the text of a type; None if it is not one. Spans are relative to the text."""
    if (plain := plain_type(text)) is not None:
        return plain
    columns = by_grammar(Word(f"x {text}", Span("", -2, len(text))))
    return columns[0].type if isinstance(columns, list) and len(columns) == 1 else None


def _column_by_column(block: Word) -> tuple[list[ColumnDef], list[Diagnostic]]:
    """Recover from a mistake: split at the commas outside brackets, and parse each part separately."""
    columns: list[ColumnDef] = []
    diagnostics: list[Diagnostic] = []
    for start, end in split_columns(block.text):
        if not _without_comments(block.text[start:end]).strip():
            continue
        found, wrong = _without_commas(Word(block.text[start:end], block.span.sub(start, end)))
        columns += found
        diagnostics += wrong
    return columns, diagnostics


def _without_commas(part: Word) -> tuple[list[ColumnDef], list[Diagnostic]]:
    """Parse the text between two commas: several columns, if a comma is missing."""
    from clickpipe.datafile.grammar import MISSING_COMMA

    found = by_grammar(part)
    if not isinstance(found, Diagnostic):
        return found, []
    if found.message != MISSING_COMMA or found.span is None:
        return [], [found]
    at = found.span.end - part.span.start
    before, rest = (Word(part.text[a:b], part.span.sub(a, b)) for a, b in ((0, at), (at, len(part.text))))
    first, wrong = _without_commas(before)  # one missing after a DEFAULT is found first, wherever others are
    columns, diagnostics = _without_commas(rest)
    return [*first, *columns], [*wrong, found, *diagnostics]


_TOKEN = re.compile(r"--[^\n]*|#[^\n]*|'(?:[^'\\]|\\.|'')*'|`[^`\n]*`|[()\[\],]", re.DOTALL)
_LINE_END = re.compile(r",[ \t]*(?=\n)")


def _without_comments(text: str) -> str:
    return re.sub(r"--[^\n]*|#[^\n]*", "", text)


def split_columns(text: str) -> list[tuple[int, int]]:
    """Return (start, end) of the parts between commas outside brackets, with an empty one after a final comma."""
    parts: list[tuple[int, int]] = []
    depth = start = 0
    for match in _TOKEN.finditer(text):
        mark = match.group()
        if mark in "([":
            depth += 1
        elif mark in ")]":
            depth = max(0, depth - 1)
        elif mark == "," and depth == 0:
            parts.append((start, match.start()))
            start = match.end()
    if depth:  # a bracket is never closed: treat each further line that ends with a comma as a column
        for match in _LINE_END.finditer(text, start):
            parts.append((start, match.start()))
            start = match.end()
    return [*parts, (start, len(text))]


def _duplicates(columns: list[ColumnDef]) -> list[Diagnostic]:
    seen: dict[str, ColumnDef] = {}
    found = []
    for column in columns:
        first = seen.setdefault(column.name.text, column)
        if first is not column:
            related = (Related("first defined here", first.name.span),)
            message = f"column '{column.name.text}' is defined twice"
            found.append(Diagnostic("CP1102", message, column.name.span, related=related, hint="rename or remove one"))
    return found
