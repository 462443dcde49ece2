"""Wraps tables in sub-queries with a LIMIT, past which ClickHouse moves no conditions."""

from __future__ import annotations

import re
from typing import Any

from clickpipe.sql.lexer import Kind, Token, tokens
from clickpipe.sql.syntax import Syntax, TableReference, quote_identifier
from clickpipe.sql.tree import read_tree

_ALL = "LIMIT 9223372036854775807"
_APART = re.compile(rf"SELECT \* FROM `(?:[^`\\]|\\.)*+`(?:\.`(?:[^`\\]|\\.)*+`)*+(?: FINAL)? {_ALL}", re.DOTALL)


def read_apart(table: TableReference, *, final: bool = False) -> str:
    """Return a SELECT of all of a table, evaluated independently of the query around it."""
    parts = [*(table.database.split(".") if table.database else ()), table.name]
    return f"SELECT * FROM {'.'.join(map(quote_identifier, parts))}{' FINAL' if final else ''} {_ALL}"


def is_read_apart(text: str) -> bool:
    """Return whether a text is one that `read_apart` returns."""
    return _APART.fullmatch(text) is not None


def reads_apart(text: str) -> bool:
    """Return whether a statement contains such sub-queries."""
    return _ALL in text


def without_final(syntax: Syntax) -> tuple[str, frozenset[int]]:
    """Return SQL without FINAL after its tables, and the tables that had it, by their index in `syntax.tables`."""
    every = list(tokens(syntax.text))
    by_end = {token.end: number for number, token in enumerate(every)}
    parts: list[str] = []
    found: set[int] = set()
    at = 0
    for number, table in sorted(enumerate(syntax.tables), key=lambda pair: pair[1].start):
        token = _final(every, by_end.get(table.end, len(every)) + 1, table)
        if token is not None:
            parts += [syntax.text[at : token.start], " "]
            at = token.end
            found.add(number)
    return "".join([*parts, syntax.text[at:]]), frozenset(found)


def _final(every: list[Token], at: int, table: TableReference) -> Token | None:
    """Return the token FINAL after a table and its alias, if any."""
    behind = every[at : at + 3]
    if behind and behind[0].kind is Kind.WORD and behind[0].value.upper() == "AS":
        behind = behind[1:]
    if table.alias and behind and behind[0].is_name and behind[0].value == table.alias:
        behind = behind[1:]
    return behind[0] if behind and behind[0].kind is Kind.WORD and behind[0].value.upper() == "FINAL" else None


def same_but_final(before: str, after: str) -> bool:
    """Return whether two trees are equal apart from FINAL, which the second must not have."""
    waiting: list[tuple[Any, Any]] = [(read_tree(before), read_tree(after))]
    while waiting:
        one, other = waiting.pop()
        if isinstance(one, dict) and isinstance(other, dict):
            keys = one.keys() - {"final"}
            if keys != other.keys():
                return False
            waiting.extend((one[key], other[key]) for key in keys)
        elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
            waiting.extend(zip(one, other, strict=True))
        elif one != other:
            return False
    return True
