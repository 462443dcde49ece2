"""SCHEMA blocks: text to column definitions. Plain ones are split by a pattern, the others read by the grammar."""

from __future__ import annotations

import re
from functools import lru_cache

from clickpipe.datafile.plain import plain_columns, plain_type
from clickpipe.datafile.syntax import ColumnDef, TypeExpr
from clickpipe.diagnostics import Diagnostic, Related, Span, Word


def parse_schema(block: Word) -> tuple[list[ColumnDef], list[Diagnostic]]:
    """Return the columns of a SCHEMA block; one diagnostic for each column that cannot be read."""
    diagnostics: list[Diagnostic] = []
    columns: list[ColumnDef] | Diagnostic = plain_columns(block, read_type) or by_grammar(block)
    if isinstance(columns, Diagnostic):
        columns, diagnostics = _column_by_column(block)
    return columns, diagnostics + _duplicates(columns)


def by_grammar(block: Word) -> list[ColumnDef] | Diagnostic:
    """Return the columns as the grammar reads them, or what is wrong where it stops."""
    from clickpipe.datafile.grammar import parse_columns  # when it is needed: lark takes time to start

    return parse_columns(block)


@lru_cache(maxsize=4096)
def read_type(text: str) -> TypeExpr | None:
    """Return a type read by itself, None for what is not one; its spans count from its start."""
    if (plain := plain_type(text)) is not None:
        return plain
    columns = by_grammar(Word(f"x {text}", Span("", -2, len(text))))
    return columns[0].type if isinstance(columns, list) and len(columns) == 1 else None


def _column_by_column(block: Word) -> tuple[list[ColumnDef], list[Diagnostic]]:
    """Read on after a mistake: split at the commas outside brackets and parse each part alone."""
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
    """Read what stands between two commas: more than one column, where one is missing."""
    from clickpipe.datafile.grammar import MISSING_COMMA

    found = by_grammar(part)
    if not isinstance(found, Diagnostic):
        return found, []
    if found.message != MISSING_COMMA or found.span is None:
        return [], [found]
    at = found.span.end - part.span.start
    before, rest = (Word(part.text[a:b], part.span.sub(a, b)) for a, b in ((0, at), (at, len(part.text))))
    first, wrong = _without_commas(before)  # a comma is found missing behind a DEFAULT first, wherever others are
    columns, diagnostics = _without_commas(rest)
    return [*first, *columns], [*wrong, found, *diagnostics]


_TOKEN = re.compile(r"--[^\n]*|#[^\n]*|'(?:[^'\\]|\\.|'')*'|`[^`\n]*`|[()\[\],]", re.DOTALL)
_LINE_END = re.compile(r",[ \t]*(?=\n)")


def _without_comments(text: str) -> str:
    return re.sub(r"--[^\n]*|#[^\n]*", "", text)


def split_columns(text: str) -> list[tuple[int, int]]:
    """Return where the parts between the commas outside brackets stand, the empty one behind a last comma too."""
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
    if depth:  # a bracket that is never closed: each further line that ends with a comma is a column
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
