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
_READS_BY_NAME = re.compile(
    r"^(joinget(ornull)?|dict(get|has|is|getchildren)\w*|(not|global|globalnot)?(null)?in(ignoreset)?|file|"
    r"filesystem\w+|catboost\w*|hastable|currentuser|currentdatabase|executable|addresstoline\w*|demangle|"
    r"sleep\w*|getsetting|getserversetting|getmergetreesetting|getmacro|hostname|fqdn|serveruuid|displayname|"
    r"mysql_port|tcpport|getserverport|showcertificate|initialqueryid|queryid|zookeeper\w*|"
    r"structureto\w+schema|currentprofiles|currentroles|defaultprofiles|enabledprofiles|enabledroles|defaultroles)$"
)
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
    items = [_item(line) for line in ast.splitlines() if line.strip()]
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
    """Judge the `EXPLAIN AST` text of a data source's CREATE TABLE: columns and an engine, no query in it."""
    items = [_item(line) for line in ast.splitlines() if line.strip()]
    if items and items[0].kind == "CreateQuery" and not any(i.kind.startswith("Select") for i in items):
        return None
    return Refusal("A data source's definition cannot hold a query.", "SELECT")


def _judge(items: list[_Item], number: int, tables: Collection[str]) -> Refusal | None:
    item = items[number]
    if item.kind == "TableIdentifier":
        return _table(item.value, tables)
    if item.kind == "Function":
        if number and items[number - 1].kind == "TableExpression" and items[number - 1].depth == item.depth - 1:
            if item.value.lower() not in ALLOWED_TABLE_FUNCTIONS:
                return Refusal(f"The table function '{item.value}' is not allowed.", item.value)
            return None
        if _IN_FUNCTIONS.match(item.value):
            return _in_function(items, number, tables)
        if _READS_BY_NAME.match(item.value.lower()):
            return Refusal(f"The function '{item.value}' is not allowed.", item.value)
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


def _item(line: str) -> _Item:
    match = _LINE.match(line)
    if match is None:
        return _Item(0, "", line)
    rest = re.sub(r" ?\((children \d+|alias .*)\)$", "", match.group("rest"))
    rest = re.sub(r" ?\(alias .*\)$", "", rest)
    return _Item(len(match.group("indent")), match.group("kind"), rest.strip())
