"""The formatter's part for SCHEMA blocks: one column a line, its parts in one order, comments where they were."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from clickpipe.datafile.schema import parse_schema, split_columns
from clickpipe.datafile.syntax import ColumnDef
from clickpipe.diagnostics import Word, has_errors

_COMMENT = re.compile(r"(?:--|#)[^\n]*")
_QUOTED_OR_COMMENT = re.compile(r"'(?:[^'\\]|\\.|'')*'|`[^`\n]*`|(?P<comment>(?:--|#)[^\n]*)", re.DOTALL)


@dataclass(slots=True)
class _Row:
    """A column's line, the comment lines above it, the comment at its end."""

    text: str
    above: list[str]
    behind: str = ""


def format_columns(block: Word) -> list[str]:
    """Return a SCHEMA block's lines, not indented; the text as it is where a column cannot be read."""
    rows: list[_Row] = []
    below: list[str] = []
    for start, end in split_columns(block.text):
        part = block.text[start:end]
        comments = [m for m in _QUOTED_OR_COMMENT.finditer(part) if m["comment"]]
        first_line = part.partition("\n")[0]
        if (
            rows
            and comments
            and not first_line[: comments[0].start()].strip()
            and comments[0].start() < len(first_line)
        ):
            rows[-1].behind = _join(rows[-1].behind, comments.pop(0).group())  # `a String, -- about a`
        bare = _without(part)
        if not bare.strip():
            below += [c.group().strip() for c in comments]
            continue
        row = _row(Word(part, block.span.sub(start, end)))
        if row is None:
            return [line.strip() for line in block.text.strip().split("\n")]
        begins = len(bare) - len(bare.lstrip())
        for comment in comments:
            if comment.start() < begins:
                row.above.append(comment.group().strip())
            else:
                row.behind = _join(row.behind, comment.group())
        rows.append(row)
    return list(_lines(rows, below))


def _lines(rows: list[_Row], below: list[str]) -> Iterator[str]:
    for number, row in enumerate(rows):
        yield from row.above
        comma = "," if number < len(rows) - 1 else ""
        yield f"{row.text}{comma}" + (f"  {row.behind}" if row.behind else "")
    yield from below


def _row(part: Word) -> _Row | None:
    columns, diagnostics = parse_schema(Word(_without(part.text), part.span))
    if len(columns) != 1 or has_errors(diagnostics):
        return None
    return _Row(_column(columns[0], part), [])


def _column(column: ColumnDef, part: Word) -> str:
    name = column.name.text
    at = column.name.span.start - part.span.start
    parts = [f"`{name}`" if part.text[at - 1 : at] == "`" else name]
    if column.type is not None:
        parts.append(column.type.text)
    if column.jsonpath is not None:
        parts.append(f"`json:{column.jsonpath.text}`")
    if column.default is not None:
        parts.append(f"DEFAULT {column.default.text}")
    if column.codec is not None:
        parts.append(column.codec.text)
    return " ".join(parts)


def _without(text: str) -> str:
    """Blank the comments; offsets stay."""
    return _QUOTED_OR_COMMENT.sub(lambda m: " " * len(m[0]) if m["comment"] else m[0], text)


def _join(before: str, comment: str) -> str:
    text = comment.strip()
    return f"{before} {text}" if before else text
