"""Finds what a statement reads, and whether its result depends on anything else."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from clickpipe.sql.guard import nodes
from clickpipe.sql.scopes import IN_FUNCTIONS
from clickpipe.sql.tree import read_tree

_MOMENTS = frozenset(
    {"now", "now64", "nowinblock", "nowinblock64", "today", "yesterday", "curdate", "utctimestamp", "utc_timestamp"}
    | {"current_timestamp", "current_date", "current_time", "localtime", "localtimestamp"}
)
_SAME_ALWAYS = frozenset({"arrayjoin", "unnest"})  # listed as non-deterministic because they produce rows
_FIXED_TABLES = frozenset({"numbers", "numbers_mt", "null", "values", "zeros", "zeros_mt"})


@dataclass(frozen=True, slots=True)
class Reads:
    """The tables that a statement reads (`database.table`); `deterministic` if its result depends on nothing else.

    `timely` if it depends at most on the current time as well, so that concurrent queries get the same result.
    """

    tables: frozenset[str]
    deterministic: bool
    timely: bool


def reads(tree: str, changing: Collection[str]) -> Reads:
    """Analyze the syntax tree of a SELECT; `changing` are the non-deterministic functions, in lower case."""
    tables: set[str] = set()
    found: set[str] = set()
    for node in nodes(read_tree(tree)):
        kind = node["type"]
        name = str(node.get("name", "")).lower()
        if kind == "TableIdentifier" and "name_parts" in node:
            tables.add(".".join(node["name_parts"]))
        elif kind == "TableExpression":
            if "sample_size" in node:
                found.add("sample")
            function = node.get("table_function")
            if function is not None and function["name"].lower() not in _FIXED_TABLES:
                found.add("a table function")
        elif (kind == "Function" and name in changing and name not in _SAME_ALWAYS) or (
            kind == "Identifier" and name in _MOMENTS
        ):
            found.add(name)
        elif kind == "ColumnsApplyTransformer" and str(node.get("func_name", "")).lower() in changing:
            found.add("apply")
        if kind == "Function" and IN_FUNCTIONS.match(name):  # `x IN db.table`
            second = node.get("arguments", {}).get("children", [])[1:2]
            tables |= {".".join(i["name_parts"]) for i in second if i["type"] == "Identifier" and "name_parts" in i}
    return Reads(frozenset(tables), not found, found <= _MOMENTS)
