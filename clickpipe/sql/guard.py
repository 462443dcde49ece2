"""The wall before user SQL: one read-only SELECT that reads only what it was given.

It judges ClickHouse's own syntax tree, the text that `EXPLAIN AST` prints, never the SQL text
(rules: docs/security.md). The engine behind it has no grants on files or the network.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

ALLOWED_TABLE_FUNCTIONS = frozenset(
    {"generaterandom", "null", "numbers", "numbers_mt", "values", "view", "zeros", "zeros_mt"}
)
ALLOWED_SYSTEM_TABLES = frozenset({"system.functions", "system.numbers", "system.one"})
# Matched against a function's name in lower case without underscores: most have a second name with them.
_READS_BY_NAME = re.compile(
    r"^(joinget(ornull)?|dict(get|has|is|getchildren)\w*|naivebayesclassifier\w*|region(hierarchy|in|to\w+)|file|"
    r"filesystem\w+|catboost\w*|executable|ai(classify|embed|extract|filter|generate|redact|similarity|translate)|"
    r"has(columnin)?table|getmaxtablenamelength\w*|addressto\w+|demangle|trap|logtrace|sleep\w*|generateserialid|"
    r"get(setting|serversetting|mergetreesetting)\w*|getmacro|getserverport|mysqlport|tcpport|showcertificate|"
    r"(full)?hostname|fqdn|displayname|serveruuid|buildid|getoskernelversion|zookeeper\w*|structureto\w+schema|"
    r"(current|initial)?queryid|connectionid|getclienthttpheader|currentrequesturl|currenthandler|"
    r"(current|session|authenticated|auth)?user|pggetuserbyid|(current)?(database|schemas?)|"
    r"(current|default|enabled)(profiles|roles))$"
)
_STRUCTURES = frozenset({"generaterandom", "null", "values"})
_COMPUTED_COLUMN = re.compile(r"\b(alias|default|ephemeral|materialized)\b", re.IGNORECASE)
_IN_FUNCTIONS = re.compile(r"^(global)?(not)?(null)?in(ignoreset)?$", re.IGNORECASE)
_LINE = re.compile(r"^(?P<indent> *)(?P<kind>\w+) ?(?P<rest>.*)$")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a statement is not run: a sentence, and the word in the SQL that it is about."""

    message: str
    word: str = ""
    statement: bool = False


@dataclass(frozen=True, slots=True)
class _Item:
    depth: int
    kind: str
    value: str


def check(ast: str, tables: Collection[str], *, settings: bool = True) -> Refusal | None:
    """Judge the `EXPLAIN AST` text of one statement.

    `tables` are the names it may read, `database.table` as they stand in the tree; `settings` tells
    whether it may have a SETTINGS clause, which wins over the limits of the query. Returns None when the
    statement may run.
    """
    items = _items(ast)
    if not items or items[0].kind not in {"SelectWithUnionQuery", "SelectIntersectExceptQuery", "SelectQuery"}:
        return Refusal("Only SELECT queries are allowed.", statement=True)
    for number, item in enumerate(items):
        if item.depth == 1 and item.kind in {"Literal", "Identifier"}:
            return Refusal("INTO OUTFILE and FORMAT are not allowed here.", item.value)
        if item.kind == "Set" and not settings:
            return Refusal("SETTINGS are not allowed here.", "SETTINGS")
        if (refusal := _judge(items, number, tables)) is not None:
            return refusal
    return None


def check_create(ast: str) -> Refusal | None:
    """Judge the `EXPLAIN AST` text of a data source's CREATE TABLE: columns and an engine, no query in it.

    Its defaults and keys run with every insert, so they may call what a SELECT may call.
    """
    items = _items(ast)
    if not items or items[0].kind != "CreateQuery" or any(i.kind.startswith("Select") for i in items):
        return Refusal("A data source's definition cannot hold a query.", "SELECT")
    return next((r for number in range(len(items)) if (r := _judge(items, number, ())) is not None), None)


def _judge(items: list[_Item], number: int, tables: Collection[str]) -> Refusal | None:
    item = items[number]
    if item.kind == "TableIdentifier":
        return _table(item.value, tables)
    if item.kind == "Function":
        if number and items[number - 1].kind == "TableExpression" and items[number - 1].depth == item.depth - 1:
            return _table_function(items, number)
        if _IN_FUNCTIONS.match(item.value):
            return _in_function(items, number, tables)
        if item.value.startswith("__") or _READS_BY_NAME.match(item.value.lower().replace("_", "")):
            return Refusal(f"The function '{item.value}' is not allowed.", item.value)
    if item.kind == "ColumnsApplyTransformer":  # the tree does not show what is applied
        return Refusal("APPLY is not allowed.", "APPLY")
    return None


def _table_function(items: list[_Item], number: int) -> Refusal | None:
    """Only those that make rows of nothing; a structure is a plain text, of columns that compute nothing."""
    item = items[number]
    name = item.value.lower()
    if name not in ALLOWED_TABLE_FUNCTIONS:
        return Refusal(f"The table function '{item.value}' is not allowed.", item.value)
    first = next((i for i in items[number + 1 :] if i.depth != item.depth + 1), None)
    if name not in _STRUCTURES or first is None or first.depth <= item.depth:
        return None
    plain = first.kind == "Literal" or (first.kind == "Function" and first.value == "tuple")
    structure = re.sub(r"\\.", " ", first.value) if first.value.startswith("'") else ""
    if not plain or _COMPUTED_COLUMN.search(structure):
        return Refusal(f"'{item.value}' takes a plain structure: names and types in one text.", item.value)
    return None


def _table(name: str, tables: Collection[str]) -> Refusal | None:
    if name in tables or name.lower() in ALLOWED_SYSTEM_TABLES or "." not in name:
        return None  # a bare name is a CTE or nothing: the engine's own database is empty
    return Refusal(f"The table '{name}' is not allowed.", name)


def _in_function(items: list[_Item], number: int, tables: Collection[str]) -> Refusal | None:
    """`x IN name` reads a table when the name is one."""
    depth = items[number].depth
    operands = []
    for item in items[number + 1 :]:
        if item.depth <= depth:
            break
        if item.depth == depth + 2:
            operands.append(item)
    if len(operands) > 1 and operands[1].kind == "Identifier":
        return _table(operands[1].value, tables)
    return None


def _items(ast: str) -> list[_Item]:
    """Read the tree; only LF ends a line (names may hold the other characters that end one elsewhere)."""
    return [_item(line) for line in ast.split("\n") if line.strip()]


def _item(line: str) -> _Item:
    match = _LINE.match(line)
    if match is None:
        return _Item(0, "", line)
    rest = match.group("rest")
    if match.group("kind") != "Literal" and rest.endswith(")"):  # a text may hold what looks like an alias
        rest = re.sub(r" ?\((children \d+|alias .*)\)$", "", rest)
        rest = re.sub(r" ?\(alias .*\)$", "", rest)
    return _Item(len(match.group("indent")), match.group("kind"), rest.strip())
