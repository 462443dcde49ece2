"""Splits SCHEMA blocks of plain columns (name, type, jsonpath, a simple DEFAULT) with a single pattern.

Returns the same columns as the grammar, faster; each distinct type is parsed only once. Blocks with anything else are
left to the grammar.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from clickpipe.datafile.syntax import ColumnDef, TypeExpr
from clickpipe.diagnostics import Span, Word

_IN_BRACKETS = r"[\w.,=\x20]|'[^'\\\n]*'"
_BRACKETS = rf"\((?:{_IN_BRACKETS}|\((?:{_IN_BRACKETS}|\((?:{_IN_BRACKETS})*+\))*+\))*+\)"
_COLUMN = re.compile(
    r"\s*+(?P<name>[A-Za-z_]\w*+)[ \t]++(?!(?:DEFAULT|CODEC)\b)(?P<type>[A-Za-z_]\w*+"
    rf"(?:{_BRACKETS})?)"
    r"(?:[ \t]++`json:(?P<jsonpath>[^`\n]*)`)?"
    r"(?:[ \t]++DEFAULT[ \t]++(?P<default>'[^'\\\n]*'|\d+|[A-Za-z_]\w*+(?:\(\))?))?"
    r"[ \t]*+(?:,\s*+|\s*+\Z)",
    re.IGNORECASE | re.ASCII,
)

_NAME = re.compile(r"(?!(?:default|codec)\b)[a-z_]\w*", re.IGNORECASE | re.ASCII)
_SIZE = re.compile(r"\d+|'[\w/+-]+'", re.ASCII)


def plain_type(text: str) -> TypeExpr | None:
    """Parse a type of names, numbers and strings; None for other types, which need the grammar."""
    found = _type(text, 0)
    return found if found is not None and found.span.end == len(text) else None


def _type(text: str, start: int) -> TypeExpr | None:
    name = _NAME.match(text, start)
    if name is None:
        return None
    at, arguments = name.end(), []
    if text.startswith("(", at):
        mark = "("
        while text.startswith(mark, at):
            at, mark = at + len(mark), ", "
            if (size := _SIZE.match(text, at)) is not None:
                at = size.end()
                continue
            argument = _type(text, at)
            if argument is None:
                return None
            arguments.append(argument)
            at = argument.span.end
        if not text.startswith(")", at):
            return None
        at += 1
    return TypeExpr(name.group(), text[start:at], Span("", start, at), tuple(arguments))


def plain_columns(block: Word, type_of: Callable[[str], TypeExpr | None]) -> list[ColumnDef] | None:
    """Return the columns of a block, or None if it is not plain; `type_of` parses the text of a type."""
    columns: list[ColumnDef] = []
    at = 0
    while at < len(block.text):
        match = _COLUMN.match(block.text, at)
        type_ = type_of(match["type"]) if match else None
        if match is None or type_ is None:
            return None
        name, default = _part(block, match, "name"), match["default"]
        if name is None or (default is not None and default.upper() in {"DEFAULT", "CODEC"}):
            return None
        moved = _moved(type_, block, match.start("type"))
        columns.append(ColumnDef(name, moved, _part(block, match, "jsonpath"), _part(block, match, "default")))
        at = match.end()
    return columns or None


def _part(block: Word, match: re.Match[str], group: str) -> Word | None:
    return None if match[group] is None else Word(match[group], block.span.sub(*match.span(group)))


def _moved(type_: TypeExpr, block: Word, by: int) -> TypeExpr:
    """Return a separately parsed type with its spans moved to its place in the block."""
    span = block.span.sub(by + type_.span.start, by + type_.span.end)
    return TypeExpr(type_.name, type_.text, span, tuple(_moved(a, block, by) for a in type_.arguments))
