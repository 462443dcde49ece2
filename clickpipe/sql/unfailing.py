"""Finds SQL that cannot fail for any row, so that errors reveal nothing about rows.

There are two checks, based on one list of functions (`allowed/unfailing.txt`). `conditions_may_fail` checks authors'
conditions over columns of known types. `may_fail` checks a caller's whole SQL, over pipes.

ClickHouse evaluates conditions on a partition key, on an index or in PREWHERE before a row filter, for all rows. If
they cannot fail, callers notice nothing; if they can, a failure reveals that rows exist. Functions that are not listed
may fail.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from clickpipe.concurrency import remembered
from clickpipe.sql.allowed import unfailing
from clickpipe.sql.guard import nodes
from clickpipe.sql.scopes import IN_FUNCTIONS
from clickpipe.sql.tree import read_tree

_Node = Mapping[str, Any]
_CONDITIONS = ("prewhere", "where", "having", "qualify", "on_expression")
_PATTERNS = frozenset({"like", "notlike", "ilike", "notilike", "match"})  # fail for an invalid pattern
_KEYED = frozenset({"arrayelement", "tupleelement", "splitbychar", "splitbystring"})  # fail for a bad second one
_LOGICAL = frozenset({"and", "or", "not", "xor"})
_SUMS = frozenset({"plus", "minus"})  # with times, they may overflow
_READS = frozenset({"Identifier", "Asterisk", "QualifiedAsterisk", "Subquery", "QueryParameter"})
_READS |= {"ColumnsRegexpMatcher", "ColumnsListMatcher", "QualifiedColumnsRegexpMatcher", "QualifiedColumnsListMatcher"}
_NAMING = ("aliases", "column_aliases", "cte_aliases")
_PER_ROW = re.compile(r"rand|rownumber|block|generate|now.*inblock|running|neighbor|throwif", re.IGNORECASE)
_RISKY = re.compile(r"Decimal|Dynamic|Variant|JSON|Object|AggregateFunction|Nothing")
_TIME = re.compile(r"(?:(?:Nullable|LowCardinality)\()*(?:Date|Date32|DateTime|DateTime64)\b")


def conditions_may_fail(trees: Iterable[str], types: Mapping[str, Collection[str]]) -> bool:
    """Return whether any condition in the trees of SELECTs may fail for some row.

    `types` are those of the columns, by name; a name that is neither there nor an alias may be anything.
    """
    read = [read_tree(tree) for tree in trees]
    return _Judge(read, types).may_fail()


class _Judge:
    def __init__(self, roots: Iterable[_Node], types: Mapping[str, Collection[str]]) -> None:
        self._types = types
        self._conditions: list[_Node] = []
        self._aliases: dict[str, list[_Node]] = {}
        for root in roots:
            for node in nodes(root):
                self._conditions += [node[key] for key in _CONDITIONS if key in node]
                if (alias := node.get("alias")) and node["type"] not in {"Subquery", "TableIdentifier"}:
                    self._aliases.setdefault(alias, []).append(node)

    def may_fail(self) -> bool:
        return any(self._fails(condition, frozenset()) for condition in self._conditions)

    def _fails(self, node: _Node, within: frozenset[str]) -> bool:
        kind = node["type"]
        if kind in {"Literal", "QueryParameter", "Subquery"}:  # sub-queries are checked separately
            return False
        if kind == "Identifier":
            return self._column_fails(node, within)
        if kind != "Function" or node.get("is_lambda_function"):
            return True
        if _is_constant(node):
            return False
        name, arguments = node["name"].lower(), _arguments(node)
        if IN_FUNCTIONS.match(name):
            return self._fails(arguments[0], within) or not _is_constant(arguments[1])
        if name in unfailing("times"):
            return not self._is_time(node, within)
        if name in _PATTERNS | _KEYED and not all(map(_is_constant, arguments[1:])):
            return True
        known = name in _LOGICAL or name in _PATTERNS | _KEYED or self._suits(name, arguments)
        return not known or any(self._fails(argument, within) for argument in arguments)

    def _suits(self, name: str, arguments: Sequence[_Node]) -> bool:
        """Return whether a function cannot fail for any values of its arguments' types."""
        types = {type_ for argument in arguments for type_ in self._types_in(argument, frozenset())}
        several = sum(not _is_constant(argument) for argument in arguments) > 1
        if several and any("Enum" in type_ for type_ in types):
            return False  # a string compared with it may be none of its values
        if name in _SUMS and any(map(_TIME.match, types)):
            return False  # beyond the range of the type
        return name in unfailing("plain")

    def _types_in(self, node: _Node, within: frozenset[str]) -> Iterator[str]:
        """Yield the types of the columns in an expression."""
        for inner in _outside_of_queries(node):
            if inner["type"] == "Identifier" and (name := _name(inner)) not in within:
                yield from self._types.get(name, ())
                for one in self._aliases.get(name, ()):
                    yield from self._types_in(one, within | {name})

    def _column_fails(self, node: _Node, within: frozenset[str]) -> bool:
        name = _name(node)
        meant = self._aliases.get(name, ())
        if not meant and name not in self._types:
            return True
        if any(_RISKY.search(type_) for type_ in self._types.get(name, ())):
            return True
        inner = within | {name}
        return name not in within and any(self._fails(_unnamed(one, name), inner) for one in meant)

    def _is_time(self, node: _Node, within: frozenset[str]) -> bool:
        """Return whether a node consists of times, and converts them without failing."""
        if _is_constant(node):
            return True
        if node["type"] == "Identifier":
            name = _name(node)
            found, meant = self._types.get(name, ()), [_unnamed(one, name) for one in self._aliases.get(name, ())]
            inner = within | {name}
            aliased = name not in within and all(self._is_time(one, inner) for one in meant)
            return bool(found or meant) and all(map(_TIME.match, found)) and aliased
        name = str(node.get("name", "")).lower()
        return name in unfailing("times") and all(self._is_time(argument, within) for argument in _arguments(node))


def _unnamed(node: _Node, name: str) -> _Node:
    """Return the expression of an alias; a column with its own name as alias counts as the table's column."""
    return {"type": "Literal"} if node["type"] == "Identifier" and _name(node) == name else node


def _name(node: _Node) -> str:
    """Return the last part of a column's name, without the table."""
    return str((node.get("name_parts") or [node.get("name", "")])[-1])


def _arguments(node: _Node) -> list[_Node]:
    found: list[_Node] = node.get("arguments", {}).get("children", [])
    return found


def _is_constant(node: _Node) -> bool:
    """Return whether an expression is the same for all rows, so that it fails always or never."""
    return not any(
        inner["type"] not in {"Literal", "QueryParameter", "Function", "ExpressionList"}
        or (inner["type"] == "Function" and _PER_ROW.match(inner["name"]))
        for inner in _outside_of_queries(node)
    )


def _outside_of_queries(node: _Node) -> Iterator[_Node]:
    if node["type"] == "Subquery":
        return
    yield node
    for argument in _arguments(node):
        yield from _outside_of_queries(argument)


@remembered(8_000_000)
def may_fail(tree: str, *, decimals: bool, times: bool) -> bool:
    """Return whether something in a SELECT's tree may raise an error for one row but not for another.

    `decimals` and `times`: whether columns may be decimals, or dates and times.
    """
    every = list(nodes(read_tree(tree)))
    made = frozenset(_made(every))
    safe = unfailing("any") | (frozenset() if decimals else unfailing("numbers") - (_SUMS if times else frozenset()))
    return any(
        node["type"] == "ColumnsApplyTransformer"
        or (node["type"] == "Function" and _function_may_fail(node, made, safe))
        for node in every
    )


def _made(every: list[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the names that the query itself defines, which are not columns."""
    for node in every:
        if node.get("alias"):
            yield str(node["alias"])
        for key in _NAMING:
            yield from (str(name.get("name", "")) for name in node.get(key, {}).get("children", ()))


def _function_may_fail(node: Mapping[str, Any], made: Collection[str], safe: Collection[str]) -> bool:
    name = str(node.get("name", "")).lower()
    arguments = node.get("arguments", {}).get("children", [])
    if name in safe:
        return False
    if name in unfailing("column") and arguments and arguments[0]["type"] == "Identifier":
        return arguments[0]["name"].rpartition(".")[2] in made or _reads(arguments[1:])
    if name in unfailing("first"):
        return _reads(arguments[1:])
    return "decimal" in name or _reads(arguments)


def _reads(arguments: list[Any]) -> bool:
    return any(node["type"] in _READS for argument in arguments for node in nodes(argument))
