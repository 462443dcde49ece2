"""Finds where a SELECT names tables, in ClickHouse's own syntax tree, and what each name refers to.

A bare name is a CTE if one with that name is visible, in its own SELECT or an enclosing one; after IN it may also be an
alias of an enclosing SELECT. Everything else is a table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

IN_FUNCTIONS = re.compile(r"^(global)?(not)?(null)?in(ignoreset)?$", re.IGNORECASE)
JOIN_FUNCTIONS = frozenset({"joinget", "joingetornull"})  # their first argument names a table

_Node = Mapping[str, Any]
_NO_NODE: _Node = {}


class Use(Enum):
    """How a table is named: in FROM or JOIN, after IN, or as an argument of joinGet (as a string, or an identifier)."""

    FROM = "from"
    IN = "in"
    TEXT = "text"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Named:
    """A table's name in a tree: its parts, its alias, and its node (with the corresponding node of a second tree).

    `repeated` means that an earlier table in the same FROM has the same name.
    """

    use: Use
    parts: tuple[str, ...]
    alias: str
    node: _Node
    marked: _Node
    repeated: bool = False

    @property
    def shown(self) -> str:
        """Return the name by which the statement refers to it."""
        return self.alias or self.parts[-1]


@dataclass(frozen=True, slots=True)
class Qualified:
    """A name such as `events.id` whose table has a different alias; `length`: number of parts of its qualifier."""

    table: Named
    length: int
    node: _Node
    marked: _Node


@dataclass(slots=True)
class _Scope:
    outer: _Scope | None
    ctes: frozenset[str]
    select: _Node | None = None  # with its aliases
    tables: list[Named] = field(default_factory=list)

    def has_cte(self, name: str) -> bool:
        return name in self.ctes or (self.outer is not None and self.outer.has_cte(name))

    def has_alias(self, name: str) -> bool:
        own = self.select is not None and name in _aliases(self.select)
        return own or (self.outer is not None and self.outer.has_alias(name))


class ShapesDiffer(ValueError):
    """Two trees that should have the same shape do not."""


def table_uses(root: _Node, marked: _Node | None = None) -> tuple[list[Named], list[Qualified]]:
    """Return the tables that a statement names, in the order of its tree, and names qualified by them.

    `marked` is the tree of the same statement with other names; its nodes are returned along with those of `root`.
    Raises ShapesDiffer if it has another shape.
    """
    tables: list[Named] = []
    names: list[tuple[_Node, _Node, _Scope, int]] = []
    for node, other, scope in _walk(root, root if marked is None else marked):
        kind = node["type"]
        if kind == "TableIdentifier":
            parts = _parts(node)
            if len(parts) == 1 and scope.has_cte(parts[0]):
                continue
            shown = node.get("alias") or parts[-1]
            repeated = any(shown == table.shown for table in scope.tables)
            found = Named(Use.FROM, parts, node.get("alias", ""), node, other, repeated)
            tables.append(found)
            scope.tables.append(found)
        elif kind == "Function":
            tables += _argument(node, other, scope)
        elif kind == "Identifier":
            names.append((node, other, scope, 1))
        elif "qualifier" in node:
            names.append((node["qualifier"], other["qualifier"], scope, 0))
    return tables, [found for name in names for found in _qualified(*name)]


def main_table(root: _Node) -> _Node | None:
    """Return the TableIdentifier of the left-most table of a SELECT, whose inserts run a materialized view."""
    ctes: dict[str, _Node] = {}
    current: Any = root
    while True:
        kind = current.get("type")
        if kind in {"SelectWithUnionQuery", "SelectIntersectExceptQuery", "Subquery"}:
            inner = current.get("list_of_selects", current).get("children", [])
            current = inner[0] if inner else _NO_NODE
        elif kind == "SelectQuery":
            elements = current.get("with", _NO_NODE).get("children", ())
            ctes |= {e["name"]: e["subquery"] for e in elements if e["type"] == "WithElement"}
            joined = current.get("tables", _NO_NODE).get("children", [])
            current = joined[0].get("table_expression", _NO_NODE) if joined else _NO_NODE
        elif kind == "TableExpression" and "subquery" in current:
            current = current["subquery"]
        elif kind == "TableExpression" and "database_and_table_name" in current:
            table = current["database_and_table_name"]
            parts = _parts(table)
            if len(parts) > 1 or parts[0] not in ctes:
                return table  # type: ignore[no-any-return]
            current = ctes.pop(parts[0])
        else:
            return None


def named_lambdas(root: _Node) -> frozenset[str]:
    """Return the aliases of lambdas, which ClickHouse uses as functions of that name, in sub-queries too."""
    return frozenset(
        node["alias"] for node, _, _ in _walk(root, root) if node["type"] == "Function" and _is_lambda(node)
    )


def functions(root: _Node) -> frozenset[str]:
    """Return the names of all functions that a statement calls, as written."""
    return frozenset(
        name
        for node, _, _ in _walk(root, root)
        for name in (node.get("name") if node["type"] == "Function" else node.get("func_name"),)
        if name
    )


def _is_lambda(node: _Node) -> bool:
    return bool(node.get("alias")) and node["name"].lower() == "lambda"


def _argument(node: _Node, other: _Node, scope: _Scope) -> Iterator[Named]:
    """Yield the table named by a function's argument: `x IN name`, `joinGet('name', …)`."""
    arguments = node.get("arguments", _NO_NODE).get("children", ())
    marked = other.get("arguments", _NO_NODE).get("children", ())
    name = node["name"].lower()
    if name in JOIN_FUNCTIONS and arguments:
        first, value = arguments[0], arguments[0].get("value", _NO_NODE)
        if first["type"] == "Literal" and value.get("field_type") == "String":
            yield Named(Use.TEXT, tuple(value["value"].split(".")), "", first, marked[0])
        elif first["type"] == "Identifier":
            yield Named(Use.NAME, _parts(first), "", first, marked[0])
    elif IN_FUNCTIONS.match(name) and len(arguments) > 1 and arguments[1]["type"] == "Identifier":
        parts = _parts(arguments[1])
        if len(parts) > 1 or not (scope.has_cte(parts[0]) or scope.has_alias(parts[0])):
            yield Named(Use.IN, parts, "", arguments[1], marked[1])


def _qualified(node: _Node, other: _Node, scope: _Scope, behind: int) -> Iterator[Qualified]:
    """Yield a name that is qualified by a table's own name if it has an alias; `behind`: number of parts after it."""
    parts = _parts(node)
    here: _Scope | None = scope
    while here is not None and len(parts) > behind:
        if any(table.shown == parts[0] for table in here.tables):
            return
        for table in here.tables:
            length = len(table.parts)
            renamed = table.alias or length > 1
            if renamed and table.parts == parts[:length] and len(parts) >= length + behind:
                yield Qualified(table, length, node, other)
                return
        here = here.outer


def _parts(node: _Node) -> tuple[str, ...]:
    return tuple(node.get("name_parts") or (node.get("name", ""),))


def _walk(root: _Node, marked: _Node) -> Iterator[tuple[_Node, _Node, _Scope]]:
    """Yield the nodes of two similar trees in parallel, in the order of the text, with the enclosing scope."""
    stack: list[tuple[Any, Any, _Scope]] = [(root, marked, _Scope(None, frozenset()))]
    while stack:
        node, other, scope = stack.pop()
        if isinstance(node, list):
            if not isinstance(other, list) or len(other) != len(node):
                raise ShapesDiffer
            stack.extend((a, b, scope) for a, b in zip(reversed(node), reversed(other), strict=True))
        elif isinstance(node, dict):
            if not isinstance(other, dict) or node.keys() != other.keys() or node.get("type") != other.get("type"):
                raise ShapesDiffer
            inside = _inside(node, scope)
            if "type" in node:
                yield node, other, inside
            own_with = inside is not scope and "with" in node
            for key in reversed(node):
                child, marked = node[key], other[key]
                if own_with and key == "with":
                    stack.extend(_with_elements(child, marked, inside, recursive="recursive_with" in node))
                elif isinstance(child, dict | list):
                    stack.append((child, marked, inside))


def _inside(node: _Node, scope: _Scope) -> _Scope:
    """Return the scope of a node's children."""
    kind = node.get("type")
    if kind == "SelectQuery":
        return _Scope(scope, _cte_names(node), node)
    if kind == "SelectWithUnionQuery":
        # In a UNION, the first SELECT's WITH applies to all others (enable_global_with_statement).
        selects: Sequence[_Node] = node.get("list_of_selects", _NO_NODE).get("children", ())
        if len(selects) > 1 and selects[0]["type"] == "SelectQuery" and "with" in selects[0]:
            return _Scope(scope, _cte_names(selects[0]), selects[0]["with"])
    return scope


def _with_elements(clause: Any, marked: Any, scope: _Scope, *, recursive: bool) -> Iterator[tuple[Any, Any, _Scope]]:
    """Yield the elements of a WITH, last first: a CTE sees all others, and itself only if it is recursive."""
    elements, others = clause.get("children", ()), marked.get("children", ())
    if len(elements) != len(others):
        raise ShapesDiffer
    for element, other in zip(reversed(elements), reversed(others), strict=True):
        if element["type"] == "WithElement" and not recursive:
            seen = _Scope(scope.outer, scope.ctes - {element["name"]}, scope.select)
            yield element, other, seen
        else:
            yield element, other, scope


def _cte_names(select: _Node) -> frozenset[str]:
    elements = select.get("with", _NO_NODE).get("children", ())
    return frozenset(e["name"] for e in elements if e["type"] == "WithElement")


def _aliases(root: Any) -> Iterator[str]:
    """Yield the aliases in a SELECT, without those in nested SELECTs."""
    stack = list(root.values())
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)
        elif isinstance(node, dict):
            if node.get("alias"):
                yield node["alias"]
            if node.get("type") != "SelectQuery":
                stack.extend(node.values())
