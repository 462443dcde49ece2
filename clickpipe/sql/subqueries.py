"""Finds the sub-queries of an expression, by offset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clickpipe.sql.guard import nodes
from clickpipe.sql.lexer import Kind, tokens

_FIRST = frozenset({"SELECT", "WITH"})
_ENDS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}


def subqueries(text: str) -> Iterator[tuple[int, int]]:
    """Yield the offsets of each outermost pair of brackets that begins with SELECT or WITH, in order.

    ClickHouse knows more ways to begin one (`FROM t SELECT x`): compare with `count_selects` of what it read.
    """
    depth, inside, start, opened = 0, 0, 0, False
    for token in tokens(text):
        step = _ENDS.get(token.value, 0) if token.kind is Kind.MARK else 0
        if opened and not inside and token.kind is Kind.WORD and token.value.upper() in _FIRST:
            inside = depth
        opened = step > 0 and token.value == "("
        depth += step
        if opened and not inside:
            start = token.start
        if inside and depth < inside:
            yield start, token.end
            inside = 0


def count_selects(root: Mapping[str, Any]) -> int:
    """Return how many SELECTs a tree consists of."""
    return sum(node["type"] == "SelectQuery" for node in nodes(root))
