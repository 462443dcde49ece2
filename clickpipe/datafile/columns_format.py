"""Formats SCHEMA blocks: one column per line, its parts in a fixed order, comments where they were."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from clickpipe.datafile.schema import parse_schema, split_columns
from clickpipe.datafile.syntax import ColumnDef
from clickpipe.diagnostics import Span, Word, has_errors

_QUOTED_OR_COMMENT = re.compile(
    r"'(?:[^'\\]|\\.|'')*'|`[^`\n]*`|(?<![ \t])(?P<blank>[ \t]*+)(?P<comment>(?:--|#)[^\n]*)", re.DOTALL
)
_WORD_AT_0 = re.compile(r"\n[A-Za-z_]")


@dataclass(slots=True)
class _Row:
    """A column's line, the comment lines above it, and the comment at its end."""

    text: str
    above: list[str] = field(default_factory=list)
    behind: str = ""

    def add(self, comment: str) -> None:
        """Add a comment at the end of the line, or above the column if there already is one."""
        if self.behind:
            self.above.append(comment)
        else:
            self.behind = comment


def comment_starts(text: str) -> set[int]:
    """Return the offsets of the comments in a SCHEMA or INDEXES block."""
    return {start for start, _ in _comments(text)}


def has_open_quote(text: str) -> bool:
    """Return whether a quote in a SCHEMA or INDEXES block is not closed inside it."""
    return re.search("['`]", _QUOTED_OR_COMMENT.sub("", text)) is not None


def format_columns(block: Word) -> list[str] | None:
    """Return the lines of a SCHEMA block without indentation; None if its columns cannot be separated."""
    rows: list[_Row] = []
    below: list[str] = []
    parts = split_columns(block.text)
    for number, (start, end) in enumerate(parts):
        part = block.text[start:end]
        comments = _comments(part)
        if rows and comments and "\n" not in part[: comments[0][0]] and not part[: comments[0][0]].strip():
            rows[-1].add(comments.pop(0)[1])  # `a String, -- about a`
        bare = _QUOTED_OR_COMMENT.sub(lambda m: " " * len(m[0]) if m["comment"] else m[0], part)
        if not bare.strip():
            below += [comment for _, comment in comments]
            continue
        text = _column_text(_QUOTED_OR_COMMENT.sub(lambda m: "" if m["comment"] else m[0], part))
        if text is None:
            return None
        row = _Row(text)
        begins, ends = len(bare) - len(bare.lstrip()), len(bare.rstrip())
        for at, comment in comments:
            if at < begins:
                row.above.append(comment)
            elif number == len(parts) - 1 and "\n" in part[ends:at]:
                below.append(comment)
            else:
                row.add(comment)
        rows.append(row)
    return list(_lines(rows, below)) or None


def _lines(rows: list[_Row], below: list[str]) -> Iterator[str]:
    for number, row in enumerate(rows):
        yield from row.above
        comma = "," if number < len(rows) - 1 else ""
        yield f"{row.text}{comma}" + (f"  {row.behind}" if row.behind else "")
    yield from below


def _column_text(part: str) -> str | None:
    """Return a column as formatted text; None if the part is not a column, or only looks like one."""
    columns, diagnostics = parse_schema(Word(part, Span("", 0, len(part))))
    if len(columns) != 1 or has_errors(diagnostics):
        return None
    column = columns[0]
    quoted = part[column.name.span.start - 1 : column.name.span.start] == "`"
    if not quoted and "'" in column.name.text:  # quotes in names hide where literals and comments start
        return None
    text = " ".join(_parts(column, quoted=quoted))
    return None if _WORD_AT_0.search(text) else text  # without its comment, such a line could be read as a directive


def _parts(column: ColumnDef, *, quoted: bool) -> Iterator[str]:
    yield f"`{column.name.text}`" if quoted else column.name.text
    if column.type is not None:
        yield column.type.text
    if column.jsonpath is not None:
        yield f"`json:{column.jsonpath.text}`"
    if column.default is not None:
        yield f"DEFAULT {column.default.text}"
    if column.codec is not None:
        yield column.codec.text


def _comments(text: str) -> list[tuple[int, str]]:
    """Return the offset and text of each comment."""
    return [(m.start("comment"), m["comment"].strip()) for m in _QUOTED_OR_COMMENT.finditer(text) if m["comment"]]
