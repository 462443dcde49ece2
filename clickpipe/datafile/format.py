"""The formatter: a datafile's statements in their canonical order and layout, the author's texts as they are.

SQL keeps every byte but the indentation of whole lines, and that too where a literal or a comment spans lines.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from clickpipe.datafile.columns_format import format_columns
from clickpipe.datafile.scanner import scan
from clickpipe.datafile.syntax import Kind, Statement
from clickpipe.diagnostics import Diagnostic, Word, has_errors

FormatSQL = Callable[[str], str]

_INDENT = "    "
_SPANS_LINES = re.compile(r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.)*\"|`[^`]*`|--[^\n]*|/\*.*?\*/", re.DOTALL)
_COMMENT = re.compile(r"--|/\*|#")
# Directives in the order of their groups; a blank line stands between groups. A final `*` stands for any ending.
_GROUPS: dict[Kind, tuple[tuple[str, ...], ...]] = {
    Kind.DATASOURCE: (
        ("VERSION",),
        ("DESCRIPTION",),
        ("TOKEN",),
        ("TAGS",),
        ("SCHEMA",),
        ("INDEXES",),
        ("ENGINE", "ENGINE_*"),
        ("INCLUDE", "KAFKA_*", "IMPORT_*", "PG_*"),
        ("SHARED_WITH",),
        ("FORWARD_QUERY",),
        ("*",),
    ),
    Kind.PIPE: (("VERSION",), ("DESCRIPTION",), ("TOKEN",), ("TAGS",), ("*",)),
    Kind.CONNECTION: (("DESCRIPTION",), ("TAGS",), ("TYPE", "*")),
}
_NODE_GROUPS = (("NODE", "DESCRIPTION", "TOKEN", "TAGS"), ("SQL",), ("TYPE", "*"))
_SORTED = "ENGINE_"


@dataclass(frozen=True, slots=True)
class _Piece:
    """A statement as it will be printed, the comment lines that stand before it included."""

    directive: str
    lines: tuple[str, ...]


def format_datafile(file: str, text: str, format_sql: FormatSQL | None = None) -> tuple[str | None, list[Diagnostic]]:
    """Return the formatted text, or None with the errors for which the file is left alone.

    `format_sql` is asked for a new text of each SQL block that has neither a template nor a comment. Raises
    ValueError for a file of another ending.
    """
    kind = Kind(file.rsplit(".", 1)[-1])
    statements, diagnostics = scan(file, text, kind)
    if has_errors(diagnostics):
        return None, [d for d in diagnostics if d.severity == "error"]
    pieces, rest = _pieces(text, statements, format_sql)
    blocks = list(_arranged(kind, pieces))
    formatted = "\n\n".join(["\n".join(block) for block in [*blocks, *([rest] if rest else [])]]) + "\n"
    return (formatted if formatted.strip() else ""), []


def _pieces(text: str, statements: Sequence[Statement], format_sql: FormatSQL | None) -> tuple[list[_Piece], list[str]]:
    """Return the statements' pieces, and the comment lines behind the last one."""
    pieces = []
    at = 1 if text.startswith("\ufeff") else 0
    for statement in statements:
        start = statement.keyword.span.start
        end = _end(text, statement)
        lines = [*_comments(text[at:start]), *_statement(text, statement, end, format_sql)]
        pieces.append(_Piece(statement.directive, tuple(lines)))
        at = end
    return pieces, _comments(text[at:])


def _end(text: str, statement: Statement) -> int:
    """Return where a statement's text ends: with its block, or with its line."""
    if statement.block is not None:
        return statement.block.span.start + len(_own(statement))
    newline = text.find("\n", statement.keyword.span.end)
    return len(text) if newline < 0 else newline


def _own(statement: Statement) -> str:
    """Return a block's text; comments at column 0 behind columns or indexes belong to what follows."""
    body = statement.block.text if statement.block is not None else ""
    if statement.directive not in {"SCHEMA", "INDEXES"}:
        return body
    lines = body.split("\n")
    while lines and (lines[-1].startswith("#") or not lines[-1].strip()):
        lines.pop()
    return "\n".join(lines)


def _comments(gap: str) -> list[str]:
    return [line.strip() for line in gap.split("\n") if line.strip()]


def _statement(text: str, statement: Statement, end: int, format_sql: FormatSQL | None) -> Iterator[str]:
    keyword = statement.keyword.text.upper()
    if statement.block is None:
        yield f"{keyword} {text[statement.keyword.span.end : end].strip()}"
        return
    opening = text[statement.keyword.span.end : statement.block.span.start].strip()
    if opening == ">" and text[statement.block.span.start - 1] == ">":  # the block begins on this line
        yield f"{keyword} >{statement.block.text.rstrip()}"
        return
    yield f"{keyword} {opening}"
    body = _own(statement)
    if statement.directive == "SCHEMA":
        block = Word(body, statement.block.span.sub(0, len(body)))
        yield from (_INDENT + line if line else "" for line in format_columns(block))
        return
    if statement.directive == "SQL" and format_sql is not None and _is_plain(body):
        body = format_sql(body.strip().rstrip(";"))
    yield from _indented(body, keep_ends=statement.directive == "SQL")


def _is_plain(sql: str) -> bool:
    return not sql.lstrip().startswith("%") and _COMMENT.search(sql) is None


def _indented(body: str, *, keep_ends: bool) -> list[str]:
    """Return a block's lines, indented by four; as they are where a literal or a comment spans lines."""
    lines = body.rstrip().split("\n")
    while lines and not lines[0].strip():
        lines.pop(0)
    if any("\n" in match.group() for match in _SPANS_LINES.finditer(body)):
        return lines
    dedented = textwrap.dedent("\n".join(line if line.strip() else "" for line in lines)).split("\n")
    return [(_INDENT + (line if keep_ends else line.rstrip())) if line else "" for line in dedented]


def _arranged(kind: Kind, pieces: Sequence[_Piece]) -> Iterator[list[str]]:
    """Yield the blocks of lines between which a blank line stands."""
    first_node = next((n for n, p in enumerate(pieces) if p.directive == "NODE"), len(pieces))
    yield from _grouped(_GROUPS[kind], pieces[:first_node])
    nodes: list[list[_Piece]] = []
    for piece in pieces[first_node:]:
        if piece.directive == "NODE":
            nodes.append([])
        nodes[-1].append(piece)
    for node in nodes:
        blocks = list(_grouped(_NODE_GROUPS, node))
        if sum(p.directive in _NODE_GROUPS[0] for p in node) == 1 and len(blocks) > 1:
            blocks[:2] = [[*blocks[0], *blocks[1]]]  # SQL follows a NODE that has nothing else
        yield from blocks


def _grouped(groups: Sequence[Sequence[str]], pieces: Sequence[_Piece]) -> Iterator[list[str]]:
    placed: dict[int, list[tuple[int, _Piece]]] = {}
    for piece in pieces:
        group, rank = _place(groups, piece.directive)
        placed.setdefault(group, []).append((rank, piece))
    for group in sorted(placed):
        ordered = sorted(placed[group], key=lambda item: (item[0], _sorting(item[1].directive)))
        yield [line for _, piece in ordered for line in piece.lines]


def _place(groups: Sequence[Sequence[str]], directive: str) -> tuple[int, int]:
    """Return the group and the place in it."""
    for exact in (True, False):
        for number, group in enumerate(groups):
            for rank, name in enumerate(group):
                if directive == name or (not exact and name.endswith("*") and directive.startswith(name[:-1])):
                    return number, rank
    return len(groups), 0


def _sorting(directive: str) -> str:
    return directive if directive.startswith(_SORTED) else ""
