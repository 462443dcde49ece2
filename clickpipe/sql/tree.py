"""Reads ClickHouse's syntax trees: JSON of any depth."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from clickpipe.concurrency import remembered
from clickpipe.sql.allowed import is_function, is_refused_function

OTHER = '{"type":"Other"}'  # stands for a statement that `parseQueryToJSON` cannot represent: it is not a SELECT
_KEPT = 8_000_000  # characters of trees to remember; parsed, they take about ten times as much
# Functions whose first argument is a lambda, or names a function (tests/sql/test_function_names.py asks the engine).
TAKE_LAMBDAS = frozenset(
    {
        *("arrayall", "arrayavg", "arraybottomk", "arraycompact", "arraycount", "arraycumsum"),
        *("arraycumsumnonnegative", "arraydifference", "arrayexists", "arrayfill", "arrayfilter", "arrayfirst"),
        *("arrayfirstindex", "arrayfirstornull", "arrayfold", "arraylast", "arraylastindex", "arraylastornull"),
        *("arraymap", "arraymax", "arraymin", "arraypartialreversesort", "arraypartialsort", "arrayproduct"),
        *("arrayreversefill", "arrayreversesort", "arrayreversesplit", "arraysort", "arraysplit", "arraysum"),
        *("arraytopk", "mapall", "mapapply", "mapexists", "mapfilter", "mappartialreversesort", "mappartialsort"),
        *("mapreversesort", "mapsort"),
    }
)
_TAKES_LAMBDA = re.compile(r'"name":\s*+"(?:array|map)', re.IGNORECASE)
_PART = re.compile(r'"(?:[^"\\]|\\.)*"|[][{}]|[^][{}",:\s]+')


@remembered(_KEPT)
def read_tree(text: str) -> Mapping[str, Any]:
    """Return the root: nodes are dicts with a `type`; do not change them. Raises ValueError if it is not a tree.

    The name of a function in place of a lambda, as in `arrayMap(lower, words)`, is a function here: whoever judges
    functions sees it.
    """
    try:
        root = json.loads(text)
    except RecursionError:
        root = _read_deep(text)
    if not isinstance(root, dict) or "type" not in root:
        message = "not a syntax tree"
        raise ValueError(message)
    if _TAKES_LAMBDA.search(text):
        _find_references(root)
    return root


def _find_references(root: dict[str, Any]) -> None:
    """Replace each identifier that ClickHouse reads as the name of a function by a call on anything."""
    stack: list[Any] = [root]
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack += item
        elif isinstance(item, dict):
            stack += item.values()
            if item.get("type") == "Function" and str(item.get("name", "")).lower() in TAKE_LAMBDAS:
                arguments = item.get("arguments", {}).get("children", [])
                if len(arguments) > 1 and _is_reference(arguments[0]):
                    anything = {"type": "ExpressionList", "children": [{"type": "Asterisk"}, {"type": "Asterisk"}]}
                    arguments[0] = {**arguments[0], "type": "Function", "arguments": anything}


def _is_reference(node: dict[str, Any]) -> bool:
    name = str(node.get("name", ""))
    return node["type"] == "Identifier" and (is_function(name) or is_refused_function(name))


def _read_deep(text: str) -> Any:
    """Parse JSON with an explicit stack, as Python's parser is limited by its recursion depth."""
    top: list[Any] = []
    stack: list[tuple[list[Any] | dict[str, Any], str | None]] = []
    here: list[Any] | dict[str, Any] = top
    key: str | None = None
    for part in _PART.findall(text):
        if part in "]}":
            here, key = stack.pop()
            continue
        value: Any = [] if part == "[" else {} if part == "{" else json.loads(part)
        if isinstance(here, list):
            here.append(value)
        elif key is None:
            key = value
            continue
        else:
            here[key] = value
            key = None
        if part in "[{":
            stack.append((here, key))
            here, key = value, None
    return top[0]


_NOT_COLUMNS = frozenset(
    {"where", "prewhere", "having", "qualify", "order_by", "settings"}
    | {"limit_by", "limit_by_length", "limit_by_offset", "limit_length", "limit_offset", "interpolate"}
)


def columns_part(text: str) -> str:
    """Return the part of a SELECT's syntax tree that determines its columns: equal parts mean equal columns."""

    def kept(node: Any) -> Any:
        if isinstance(node, dict):
            select = node.get("type") == "SelectQuery"
            return {key: kept(value) for key, value in node.items() if not (select and key in _NOT_COLUMNS)}
        return [kept(item) for item in node] if isinstance(node, list) else node

    try:
        return json.dumps(kept(read_tree(text)))
    except RecursionError:
        return text
