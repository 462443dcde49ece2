"""Verifies that composed SQL differs from its parts only in tables.

Splicing replaces text at offsets. To be sure that ClickHouse parses the result as intended, the tree of the composed
text must be the author's, with each table replaced by what was put there, and no other difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clickpipe.concurrency import remembered
from clickpipe.sql.scopes import Use, table_uses
from clickpipe.sql.syntax import Qualifier, Syntax, TableReference
from clickpipe.sql.tree import read_tree

_Node = Mapping[str, Any]
_UNION = "SelectWithUnionQuery"


@dataclass(frozen=True, slots=True)
class Composition:
    """A statement with replaced tables: `text` is the result, `syntax` is what the author wrote.

    `tables` maps each replaced table to the parts of a table's name, or to another composition.
    """

    text: str
    syntax: Syntax
    tables: Mapping[TableReference, tuple[str, ...] | Composition]


def is_as_meant(composition: Composition, tree: str) -> bool:
    """Return whether the tree of a composed text is the author's with exactly its tables replaced."""
    if not composition.tables:
        return composition.text == composition.syntax.text and tree.strip() == composition.syntax.tree.strip()
    return _Comparison().same(composition, read_tree(tree))


@dataclass(frozen=True, slots=True)
class _Expected:
    """The replacements of an author's nodes, by id: tables, and names qualified by a table's own name."""

    tables: Mapping[int, tuple[TableReference, tuple[str, ...] | Composition]]
    names: Mapping[int, Qualifier]


@remembered(8_000_000)
def _places(text: str) -> tuple[_Node, tuple[int, ...], tuple[int, ...]]:
    """Return a tree, the ids of its nodes that name tables, and of those qualified by a table's own name."""
    tree = read_tree(text)
    uses, names = table_uses(tree)
    return tree, tuple(id(use.node) for use in uses), tuple(id(name.node) for name in names)


class _Comparison:
    def __init__(self) -> None:
        self._stack: list[tuple[Any, Any, _Expected]] = []

    def same(self, composition: Composition, root: _Node) -> bool:
        self._compare(composition, root)
        while self._stack:
            written, found, expected = self._stack.pop()
            if isinstance(written, dict):
                if not isinstance(found, dict) or not self._same_node(written, found, expected):
                    return False
            elif isinstance(written, list):
                if not isinstance(found, list) or len(written) != len(found):
                    return False
                self._stack.extend((a, b, expected) for a, b in zip(written, found, strict=True))
            elif written != found or type(written) is not type(found):
                return False
        return True

    def _compare(self, composition: Composition, root: Any) -> None:
        """Expect `root` to be the tree of a composition."""
        syntax, tables = composition.syntax, composition.tables
        tree, uses, names = _places(syntax.tree)
        expected = _Expected(
            {use: (t, tables[t]) for use, t in zip(uses, syntax.tables, strict=True) if t in tables},
            {name: q for name, q in zip(names, syntax.qualifiers, strict=True) if q.table in tables},
        )
        self._stack.append((_unwrapped(tree), _unwrapped(root), expected))

    def _same_node(self, written: _Node, found: _Node, expected: _Expected) -> bool:
        table = written.get("database_and_table_name")
        if table is not None and id(table) in expected.tables:
            return self._same_table(written, found, expected)
        if id(written) in expected.tables:
            return self._same_argument(written, found, expected)
        if id(written) in expected.names:
            return self._same_name(written, found, expected)
        return self._rest(written, found, (), expected)

    def _rest(self, written: _Node, found: _Node, without: Sequence[str], expected: _Expected) -> bool:
        """Compare everything in two nodes except some keys."""
        if {*written} - {*without} != {*found} - {*without}:
            return False
        self._stack.extend(
            (_unwrapped(written[key]), _unwrapped(found[key]), expected) for key in written if key not in without
        )
        return True

    def _same_table(self, written: _Node, found: _Node, expected: _Expected) -> bool:
        reference, new = expected.tables[id(written["database_and_table_name"])]
        alias = reference.alias or (reference.name if reference.keeps_name else None)
        key = "subquery" if isinstance(new, Composition) else "database_and_table_name"
        inner = found.get(key)
        if not isinstance(inner, dict) or inner.get("alias") != alias:
            return False
        same = self._same_query(inner, new) if isinstance(new, Composition) else _has_parts(inner, new)
        others = ("database_and_table_name", "subquery")
        return same and sum(k in found for k in others) == 1 and self._rest(written, found, others, expected)

    def _same_argument(self, written: _Node, found: _Node, expected: _Expected) -> bool:
        reference, new = expected.tables[id(written)]
        if isinstance(new, Composition):
            return reference.use is Use.IN and "alias" not in found and self._same_query(found, new)
        if reference.use is Use.TEXT:
            return found.get("value") == {"field_type": "String", "value": ".".join(new)}
        return _has_parts(found, new) and self._rest(written, found, ("name", "name_parts"), expected)

    def _same_query(self, found: _Node, new: Composition) -> bool:
        children = found.get("children", [])
        if found.get("type") != "Subquery" or len(children) != 1 or {*found} - {"type", "children", "alias"}:
            return False
        self._compare(new, children[0])
        return True

    def _same_name(self, written: _Node, found: _Node, expected: _Expected) -> bool:
        table = expected.names[id(written)].table
        parts = (table.alias or table.name, *(written.get("name_parts") or ())[table.length :])
        return _has_parts(found, parts) and self._rest(written, found, ("name", "name_parts"), expected)


def _has_parts(node: _Node, parts: Sequence[str]) -> bool:
    return tuple(node.get("name_parts") or (node.get("name"),)) == tuple(parts)


def _unwrapped(node: Any) -> Any:
    """Return a query without unions of a single query, which brackets create."""
    while isinstance(node, dict) and node.get("type") == _UNION:
        children = node.get("list_of_selects", {}).get("children", ())
        if len(children) != 1 or children[0].get("type") != _UNION:
            break
        node = children[0]
    return node
