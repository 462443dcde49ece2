"""Formats datafiles: statements in their canonical order and layout, the author's texts unchanged.

Only the indentation of whole lines of SQL changes, and not even that if a literal or comment spans lines.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator, Sequence

from clickpipe.datafile.columns_format import comment_starts, format_columns, has_open_quote
from clickpipe.datafile.order_format import Piece, arrange
from clickpipe.datafile.parser import parse_datafile
from clickpipe.datafile.scanner import scan
from clickpipe.datafile.syntax import Kind, Statement
from clickpipe.diagnostics import Diagnostic, Severity, Word

FormatSQL = Callable[[str], str | None]

_INDENT = "    "
_LITERAL = r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.)*\"|`[^`]*`|\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z)"
_LITERALS = re.compile(_LITERAL, re.DOTALL)
_SPANS_LINES = re.compile(rf"{_LITERAL}|--[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_COMMENT = re.compile(r"--|/\*|//|#")
_SELECT = re.compile(r"\s*(?:\(|(?:SELECT|WITH)\b)", re.IGNORECASE)
_SQL = frozenset({"SQL", "FORWARD_QUERY", "IMPORT_QUERY"})
_LISTS = frozenset({"SCHEMA", "INDEXES"})  # `#` starts a comment in these blocks only; elsewhere it is text


def format_datafile(file: str, text: str, format_sql: FormatSQL | None = None) -> tuple[str | None, list[Diagnostic]]:
    """Return the formatted text, or None and the errors because of which the file stays unchanged.

    `format_sql` is called with each SQL block that contains no template and no comment; it returns the new text, or
    None to keep the block. Raises ValueError for an unknown file extension.
    """
    kind = Kind(file.rsplit(".", 1)[-1])
    statements, _ = scan(file, text, kind)
    if errors := _errors(file, text, statements):
        return None, errors
    pieces, rest = _pieces(text, statements, format_sql)
    formatted = "\n\n".join("\n".join(lines) for lines in arrange(kind, pieces, rest))
    return (formatted + "\n" if formatted else ""), []


def _errors(file: str, text: str, statements: Sequence[Statement]) -> list[Diagnostic]:
    """Return the errors of the file itself; without those that an INCLUDE could resolve."""
    unknown = {"CP1002", "CP1006", "CP1012"} if any(s.directive == "INCLUDE" for s in statements) else set()
    _, diagnostics = parse_datafile(file, text)
    return [d for d in diagnostics if d.severity is Severity.ERROR and d.code not in unknown]


def _pieces(text: str, statements: Sequence[Statement], format_sql: FormatSQL | None) -> tuple[list[Piece], list[str]]:
    """Return the statements as pieces, and the comment lines after the last one."""
    pieces = []
    at = 1 if text.startswith("\ufeff") else 0
    for statement in statements:
        end = _end(text, statement)
        comments = _comments(text[at : statement.keyword.span.start])
        lines = tuple(_statement(text, statement, end, format_sql))
        swallows = statement.block is not None and (
            statement.directive not in _LISTS or has_open_quote(_own(statement))
        )
        pieces.append(Piece(statement.directive, tuple(comments), lines, swallows=swallows))
        at = end
    return pieces, _comments(text[at:])


def _end(text: str, statement: Statement) -> int:
    """Return where a statement ends: at the end of its block, or of its line."""
    if statement.block is not None:
        return statement.block.span.start + len(_own(statement))
    newline = text.find("\n", statement.keyword.span.end)
    return len(text) if newline < 0 else newline


def _own(statement: Statement) -> str:
    """Return a block's text, without comments at column 0 after columns or indexes, which belong to what follows."""
    body = statement.block.text if statement.block is not None else ""
    if statement.directive not in _LISTS:
        return body
    comments = comment_starts(body)
    end = len(body)
    while end > 0:
        start = body.rfind("\n", 0, end) + 1
        if body[start:end].strip() and not (body[start] == "#" and start in comments):
            return body[:end]
        end = start - 1
    return body


def _comments(gap: str) -> list[str]:
    return [line.strip() for line in gap.split("\n") if line.strip()]


def _statement(text: str, statement: Statement, end: int, format_sql: FormatSQL | None) -> Iterator[str]:
    keyword = statement.keyword.text.upper()
    if statement.block is None:
        yield f"{keyword} {text[statement.keyword.span.end : end].strip()}"
        return
    body = _own(statement)
    if statement.directive == "SQL" and format_sql is not None:
        body = _formatted(body, format_sql)
    lines = _columns(statement, body) if statement.directive == "SCHEMA" else _indented(statement.directive, body)
    opening = text[statement.keyword.span.end : statement.block.span.start].strip()
    if lines is None and text[statement.block.span.start - 1] == ">":  # it starts on the directive's line
        yield f"{keyword} >{body.rstrip()}"
        return
    yield f"{keyword} {opening}"
    yield from _without_empty(body.rstrip().split("\n")) if lines is None else lines


def _columns(statement: Statement, body: str) -> list[str] | None:
    if statement.block is None:
        return None
    lines = format_columns(Word(body, statement.block.span.sub(0, len(body))))
    return None if lines is None else [_INDENT + line for line in lines]


def _formatted(sql: str, format_sql: FormatSQL) -> str:
    """Return a SELECT formatted by `format_sql`; unchanged if it contains a template or a comment."""
    bare = _LITERALS.sub("''", sql)
    if _SELECT.match(sql) is None or "{{" in bare or "{%" in bare or _COMMENT.search(bare) is not None:
        return sql
    asked = sql.strip().rstrip(";")
    formatted = format_sql(asked)
    return sql if formatted is None or formatted == asked else formatted


def _indented(directive: str, body: str) -> list[str] | None:
    """Return a block's lines, indented by four; None if a literal or comment in its SQL spans lines."""
    if directive in {*_SQL, *_LISTS} and any("\n" in m.group() for m in _SPANS_LINES.finditer(body)):
        return None
    kept = [(line if directive in _SQL else line.rstrip()) if line.strip() else "" for line in body.split("\n")]
    dedented = textwrap.dedent("\n".join(kept).rstrip()).split("\n")
    return [_INDENT + line if line else "" for line in _without_empty(dedented)]


def _without_empty(lines: list[str]) -> list[str]:
    """Return the lines without empty ones at the start."""
    first = next((n for n, line in enumerate(lines) if line.strip()), len(lines))
    return lines[first:]
