"""The statement check for users' SQL: a single read-only SELECT that reads only what it is allowed to.

It checks ClickHouse's own syntax tree, the JSON from `parseQueryToJSON`, never the SQL text (rules: docs/security.md).
The engine itself has no grants on files or the network.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from clickpipe.diagnostics import did_you_mean
from clickpipe.sql.allowed import bounds, is_function, is_refused_function, names
from clickpipe.sql.scopes import IN_FUNCTIONS, JOIN_FUNCTIONS
from clickpipe.sql.tree import read_tree

ALLOWED_TABLE_FUNCTIONS = frozenset(
    {"generaterandom", "null", "numbers", "numbers_mt", "values", "view", "zeros", "zeros_mt"}
)
ALLOWED_SYSTEM_TABLES = frozenset({"system.functions", "system.numbers", "system.one"})
_PLAIN = frozenset({"UInt64", "Int64", "Float64", "String", "Bool"})  # types of setting values
_STRUCTURES = frozenset({"generaterandom", "null", "values"})
_COMPUTED_COLUMN = re.compile(r"\b(alias|default|ephemeral|materialized)\b", re.IGNORECASE)
_SELECTS = frozenset({"SelectWithUnionQuery", "SelectIntersectExceptQuery", "SelectQuery"})
_PARTS = _SELECTS | {"TablesInSelectQuery", "SetQuery"}  # the only nodes in a SELECT whose type ends with Query

_Node = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a statement is refused: a sentence, the word in the SQL that it is about, and the name after FORMAT."""

    message: str
    word: str = ""
    statement: bool = False
    format: str = ""


def check(
    tree: str, tables: Collection[str], *, settings: bool = True, sources: Collection[str] = ()
) -> Refusal | None:
    """Check the syntax tree of one statement, as returned by `Engine.syntax_tree`; return None if it may run.

    `tables` are the names it may read, as `database.table`; `settings` is whether it may have a SETTINGS clause, which
    overrides the limits of the query; `sources` are further table functions, in lower case, that it may read.
    """
    root = read_tree(tree)
    if root["type"] not in _SELECTS:
        return Refusal("Only SELECT queries are allowed.", statement=True)
    own = _lambdas(root) if '"lambda"' in tree else frozenset()
    for node in nodes(root):
        kind = node["type"]
        if kind.endswith("Query") and kind not in _PARTS:
            return Refusal("Only SELECT queries are allowed.", statement=True)
        if kind == "SetQuery" and not settings:
            return Refusal("SETTINGS are not allowed here.", "SETTINGS")
        if kind == "SetQuery" and (refusal := check_settings(node, "settings")) is not None:
            return refusal
        if "out_file" in node or "format_ast" in node:
            name = node.get("format_ast", {}).get("name", "")
            return Refusal("INTO OUTFILE and FORMAT are not allowed here.", name or "OUTFILE", format=name)
        if (refusal := _judge(node, tables, sources, own)) is not None:
            return refusal
    return None


def table_functions(tree: str) -> list[str]:
    """Return the table functions that a statement reads, in lower case."""
    found = (node.get("table_function") for node in nodes(read_tree(tree)))
    return [function["name"].lower() for function in found if function is not None]


def judge_part(node: _Node) -> Refusal | None:
    """Check a node of an expression that must not read any table, not even by a name after IN or in joinGet."""
    if node["type"] in _SELECTS or node["type"] == "Subquery":
        return Refusal("A data source's definition cannot contain a query.", "SELECT")
    if node["type"] == "Function" and (name := _named_table(node)):
        return Refusal(f"A data source's definition cannot read a table: '{name}'.", name)
    return _judge(node, ())


def nodes(root: _Node) -> Iterator[_Node]:
    """Yield every node of a tree, in the order of the text."""
    stack: list[Any] = [root]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if "type" in item:
                yield item
            stack.extend(reversed(item.values()))
        elif isinstance(item, list):
            stack.extend(reversed(item))


def _lambdas(root: _Node) -> frozenset[str]:
    """Return the names of a statement's own functions: `WITH (x -> x + 1) AS f`."""
    named = (node.get("alias", "") for node in nodes(root) if node["type"] == "Function" and node["name"] == "lambda")
    return frozenset(name for name in named if name)


def check_settings(node: _Node, list_: str) -> Refusal | None:
    """Check a SETTINGS clause: plain values, within bounds, for settings in a list of `sql/allowed`."""
    if not set(node) <= {"type", "changes"}:
        return Refusal("SETTINGS can only have names and plain values.", "SETTINGS")
    for change in node.get("changes", ()):
        name = str(change.get("name", ""))
        value = change.get("value", {})
        if name not in names(list_):
            return Refusal(f"The setting '{name}' is not allowed.", name)
        if value.get("field_type") not in _PLAIN:
            return Refusal(f"The setting '{name}' takes a number or a string.", name)
        most = bounds(list_).get(name)
        if most is not None and not _is_within(value.get("value"), most):
            return Refusal(f"The setting '{name}' can be at most {most}.", name)
    return None


def _is_within(value: Any, most: int) -> bool:
    try:
        return 0 <= float(value) <= most
    except (TypeError, ValueError):
        return False


def _judge(
    node: _Node, tables: Collection[str], sources: Collection[str] = (), own: Collection[str] = ()
) -> Refusal | None:
    kind = node["type"]
    if kind == "TableIdentifier":
        return _table(node, tables)
    if kind == "TableExpression":
        function = node.get("table_function")
        return _table_function(function, sources) if function is not None else None
    if kind == "Function":
        if IN_FUNCTIONS.match(node["name"]):
            return _in_function(node, tables)
        if node["name"].lower() in JOIN_FUNCTIONS:
            return _join_function(node, tables)
        return _function(node["name"], (*sources, *own))
    if kind == "ColumnsApplyTransformer":
        return _function(name) if (name := node.get("func_name", "")) else None
    if kind == "QueryParameter" and node.get("param_type") == "Identifier":
        return Refusal("Names cannot be parameters.", node.get("name", ""))
    return None


def _function(name: str, own: Collection[str] = ()) -> Refusal | None:
    if is_function(name) or name.lower() in ALLOWED_TABLE_FUNCTIONS or name in own or name.lower() in own:
        return None
    if is_refused_function(name):
        return Refusal(f"The function '{name}' is not allowed.", name)
    hint = did_you_mean(name, names("functions"))
    return Refusal(f"The function '{name}' is unknown" + (f": {hint}" if hint else "."), name)


def _table_function(function: _Node, sources: Collection[str]) -> Refusal | None:
    """Allow only functions that read no data, with a structure of plain columns, and the `sources`."""
    shown = function["name"]
    name = shown.lower()
    if name in sources:
        return None
    if name not in ALLOWED_TABLE_FUNCTIONS:
        return Refusal(f"The table function '{shown}' is not allowed.", shown)
    arguments = _arguments(function)
    if name not in _STRUCTURES or not arguments:
        return None
    first = arguments[0]
    value = first.get("value", {}) if first["type"] == "Literal" else {}
    plain = bool(value) or (first["type"] == "Function" and first["name"] == "tuple")
    structure = str(value["value"]) if value.get("field_type") == "String" else ""
    if not plain or _COMPUTED_COLUMN.search(structure):
        return Refusal(f"'{shown}' takes a plain structure: names and types in one string.", shown)
    return None


def _table(node: _Node, tables: Collection[str]) -> Refusal | None:
    parts = node.get("name_parts", ())
    name = ".".join(parts)
    if not name or name in tables or name.lower() in ALLOWED_SYSTEM_TABLES:
        return None  # a bare name is a CTE or nothing: the engine's own database is empty
    return Refusal(f"The table '{name}' is not allowed.", name)


def _in_function(function: _Node, tables: Collection[str]) -> Refusal | None:
    """Check `x IN name`, which reads a table if the name is one."""
    arguments = _arguments(function)
    if len(arguments) > 1 and arguments[1]["type"] == "Identifier":
        return _table(arguments[1], tables)
    return None


def _join_function(function: _Node, tables: Collection[str]) -> Refusal | None:
    """Check `joinGet('name', …)`, which reads the table named by its first argument, a string or an identifier."""
    arguments = _arguments(function)
    first: _Node = arguments[0] if arguments else {"type": ""}
    if first["type"] == "Identifier":
        return _table(first, tables)
    value: _Node = first.get("value", {})
    if first["type"] != "Literal" or value.get("field_type") != "String":
        return Refusal(f"'{function['name']}' takes the name of a data source as a string.", function["name"])
    parts = value["value"].split(".")
    return _table({"name_parts": parts}, tables) if len(parts) > 1 else None


def _named_table(function: _Node) -> str:
    """Return the name by which a function may read a table, or '': anything after IN that is not a list of values."""
    name, arguments = function["name"], _arguments(function)
    if name.lower() in JOIN_FUNCTIONS:
        return str(name)
    named = arguments[1:2] if IN_FUNCTIONS.match(name) else ()
    return ".".join(str(a.get("name", "")) for a in named if a["type"] == "Identifier")


def _arguments(function: _Node) -> list[_Node]:
    found: list[_Node] = function.get("arguments", {}).get("children", [])
    return found
