"""Caps limits in SETTINGS clauses of SQL at the query's own.

In ClickHouse, settings in the text override those sent with the query, so the text itself has to be changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from clickpipe.sql.lexer import Kind, Token, tokens

_LEAST = {"max_execution_time": 0.001}  # smallest value that limits; 1 for all others
_CLAUSE = re.compile("settings", re.IGNORECASE)


def within_limits(text: str, limits: Mapping[str, int]) -> str:
    """Return SQL whose SETTINGS clauses exceed none of these limits (by setting; 0 and DEFAULT mean unlimited).

    Lower values, and other settings, stay as written.
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
    """Yield the (name, value) tokens after SETTINGS; a bare name sets 1."""
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
    """Return whether a value is a limit of at most `most`; ClickHouse truncates 0.5 to 0 (none), except for times."""
    try:
        return _LEAST.get(name, 1) <= float(value.value) <= most
    except ValueError:
        return False
