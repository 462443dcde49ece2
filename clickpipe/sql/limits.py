"""Limits in SETTINGS clauses of SQL: none is higher than the query's own.

ClickHouse takes what the text says over what comes with the query, so the text itself is changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from clickpipe.sql.lexer import Kind, Token, tokens

_LEAST = {"max_execution_time": 0.001}  # of the numbers that limit: 1 of all others
_CLAUSE = re.compile("settings", re.IGNORECASE)


def within_limits(text: str, limits: Mapping[str, int]) -> str:
    """Return SQL whose SETTINGS clauses set no limit higher than these (by setting; 0 is none, DEFAULT too).

    What is lower, and what is no limit, stays as it is written.
    """
    if not limits or not _CLAUSE.search(text):
        return text
    every, kept, at = list(tokens(text)), list[str](), 0
    for number, token in enumerate(every):
        if token.kind is Kind.WORD and token.value.lower() == "settings":
            for name, value in _changes(every, number + 1):
                most = limits.get(name.value, 0)
                if most and value.start >= at and not _is_lower(name.value, value, most):
                    kept += [text[at : value.start], str(most)]
                    at = value.end
    return "".join([*kept, text[at:]])


def _changes(every: list[Token], at: int) -> Iterator[tuple[Token, Token]]:
    """Yield the names and values that follow SETTINGS; a bare name sets 1."""
    while at + 2 < len(every) and every[at].is_name:
        behind = at + 1
        if every[behind].value == "=":
            value = every[at + 2]
            behind = at + 3
            if value.kind is Kind.MARK and behind < len(every):  # the sign of a number
                value = Token(Kind.WORD, "", value.start, every[behind].end)
                behind += 1
            yield every[at], value
        if behind >= len(every) or every[behind].value != ",":
            return
        at = behind + 1


def _is_lower(name: str, value: Token, most: int) -> bool:
    """Tell whether a value limits, and as much: ClickHouse takes whole numbers of what is no time, 0.5 for none."""
    try:
        return _LEAST.get(name, 1) <= float(value.value) <= most
    except ValueError:
        return False
