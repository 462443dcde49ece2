"""Guesses where a simple statement names tables, so that ClickHouse can parse it and its composed text in one query.

No decision depends on the guess. If it is wrong, the composed text is parsed separately.
"""

from __future__ import annotations

from collections.abc import Callable

from clickpipe.sql.lexer import Token, tokens
from clickpipe.sql.syntax import Syntax, TableReference

_LONG = 10_000  # characters above which guessing costs more than another query
_BEFORE = frozenset({"FROM", "JOIN"})
_BEHIND = frozenset(
    {"ANY", "ARRAY", "CROSS", "FORMAT", "FULL", "GROUP", "HAVING", "INNER", "JOIN", "LEFT", "LIMIT", "ON", "ORDER"}
    | {"PREWHERE", "RIGHT", "SETTINGS", "UNION", "USING", "WHERE", "WITH", "WINDOW", ")", ",", ";"}
)


def likely(text: str, is_table: Callable[[str], bool]) -> Syntax | None:
    """Return a statement with the tables that it seems to name, without a tree; None if that is unclear."""
    if len(text) > _LONG:
        return None
    every = list(tokens(text))
    found: list[TableReference] = []
    for before, number in zip(every, range(1, len(every)), strict=False):
        token = every[number]
        if token.is_name and before.value.upper() in _BEFORE and is_table(token.value):
            alias = _alias(every[number + 1 : number + 3])
            if alias is None:
                return None
            repeated = any((alias or token.value) == (table.alias or table.name) for table in found)
            found.append(TableReference(token.value, "", token.start, token.end, alias, repeated=repeated))
    return Syntax(text, "", tuple(found)) if found else None


def _alias(behind: list[Token]) -> str | None:
    """Return the alias after a table's name, '' if there is none, or None if it may be something else."""
    if not behind or behind[0].value.upper() in _BEHIND:
        return ""
    if behind[0].value.upper() == "AS" and len(behind) > 1 and behind[1].is_name:
        return behind[1].value
    return None
