"""Types `JSON(…)` with arguments, which ClickHouse's syntax tree of a CREATE cannot represent."""

from __future__ import annotations

import re

from clickpipe.project import DataSource
from clickpipe.sql import Kind, tokens

_JSON = re.compile(r"\bJSON\s*\(")
_MARKS = frozenset(".,()=")


def plain_types(source: DataSource) -> dict[str, str]:
    """Return the types that contain `JSON(…)`, by column, reduced to plain `JSON`.

    A type with arguments other than names, types, numbers and strings is left out.
    """
    found = {}
    for column in source.columns:
        plain = _plain(column.type) if _JSON.search(column.type) else column.type
        if plain != column.type:
            found[column.name] = plain
    return found


def _plain(type_: str) -> str:
    every = list(tokens(type_))
    parts: list[str] = []
    at = number = 0
    while number < len(every):
        token = every[number]
        after = every[number + 1] if number + 1 < len(every) else None
        if token.kind is Kind.WORD and token.value == "JSON" and after is not None and after.value == "(":
            close = _close(type_, number + 1)
            if close is None:
                return type_
            parts.append(type_[at : token.end])
            at, number = every[close].end, close
        number += 1
    return "".join([*parts, type_[at:]])


def _close(type_: str, opening: int) -> int | None:
    """Return the index of the token that closes a bracket; None if there is anything unexpected before it."""
    every = list(tokens(type_))
    depth = 0
    for number in range(opening, len(every)):
        token = every[number]
        gap = type_[every[number - 1].end : token.start]
        if gap.strip() or (token.kind is Kind.MARK and token.value not in _MARKS):
            return None
        depth += {"(": 1, ")": -1}.get(token.value, 0) if token.kind is Kind.MARK else 0
        if depth == 0:
            return number
    return None
