"""Functions that fail for no value of a column: what a query asks with these alone, no row answers with an error."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any

from clickpipe.sql.guard import nodes
from clickpipe.sql.tree import read_tree

_ARITHMETIC = frozenset({"plus", "minus", "multiply", "divide", "negate"})  # of decimals it may overflow
_SUMS = frozenset({"plus", "minus"})  # of times they may, too
_WHATEVER = (  # whatever their arguments are: types that do not go together are refused before a row is read
    frozenset({"equals", "notequals", "less", "greater", "lessorequals", "greaterorequals", "and", "or", "not", "xor"})
    | {"in", "notin", "globalin", "globalnotin", "isnull", "isnotnull", "exists", "tuple", "startswith", "endswith"}
    | {"count", "countif", "sum", "sumif", "min", "max", "avg", "any", "anylast", "uniq", "uniqexact", "uniqcombined"}
    | {"argmin", "argmax", "minif", "maxif", "avgif", "uniqif", "uniqexactif", "grouparray", "groupuniqarray"}
    | {"row_number", "rank", "dense_rank", "first_value", "last_value"}
)
_FIRST = (  # with constants behind their first argument
    frozenset({"empty", "notempty", "length", "lower", "upper", "tostring", "abs", "floor", "ceil", "ceiling", "round"})
    | {"quantile", "quantiles", "quantileexact", "quantiletdigest", "quantiletiming", "median", "topk"}
    | {"tostartofinterval", "tostartofsecond", "tostartofminute", "tostartoffiveminutes", "tostartoftenminutes"}
    | {"tostartoffifteenminutes", "tostartofhour", "tostartofday", "tostartofweek", "tostartofmonth", "tomonday"}
    | {"tostartofquarter", "tostartofyear", "toyear", "toquarter", "tomonth", "todayofmonth", "todayofweek", "tohour"}
    | {"tominute", "tosecond", "toyyyymm", "toyyyymmdd", "tounixtimestamp", "totimezone"}
    | {"like", "notlike", "ilike", "notilike"}
)
_OF_COLUMNS = frozenset({"todate", "todatetime"})  # of a column as it is: what a text in it is, no query chooses
_READS = frozenset({"Identifier", "Asterisk", "QualifiedAsterisk", "Subquery", "QueryParameter"})
_READS |= {"ColumnsRegexpMatcher", "ColumnsListMatcher", "QualifiedColumnsRegexpMatcher", "QualifiedColumnsListMatcher"}
_NAMING = ("aliases", "column_aliases", "cte_aliases")


@lru_cache(maxsize=256)
def may_fail(tree: str, *, decimals: bool, times: bool) -> bool:
    """Tell whether something in a SELECT's syntax tree may raise an error for one row and not for another.

    `decimals` and `times` tell whether columns may be decimals, or dates and times.
    """
    every = list(nodes(read_tree(tree)))
    made = frozenset(_made(every))
    safe = _WHATEVER | (frozenset() if decimals else _ARITHMETIC - (_SUMS if times else frozenset()))
    return any(
        node["type"] == "ColumnsApplyTransformer"
        or (node["type"] == "Function" and _function_may_fail(node, made, safe))
        for node in every
    )


def _made(every: list[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the names that the query gives: they are of no columns."""
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
    if name in _OF_COLUMNS and arguments and arguments[0]["type"] == "Identifier":
        return arguments[0]["name"].rpartition(".")[2] in made or not _is_constant(arguments[1:])
    if name in _FIRST:
        return not _is_constant(arguments[1:])
    return "decimal" in name or not _is_constant(arguments)


def _is_constant(arguments: list[Any]) -> bool:
    return not any(node["type"] in _READS for argument in arguments for node in nodes(argument))
