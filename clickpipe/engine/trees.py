"""Syntax trees of statements, by ClickHouse's own parser: it gets their texts as values, and nothing in them is run."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from clickpipe.engine.batches import batches
from clickpipe.engine.protocol import EngineError, QueryResult
from clickpipe.engine.unread import unread

_AT_ONCE, _TEXT_AT_ONCE = 200, 100_000  # statements, and characters of them, that one query parses
_FEW = 4  # statements that are parsed faster as columns than as rows

Execute = Callable[..., QueryResult]  # `Engine.execute`


def tree_of(execute: Execute, sql: str) -> str:
    """Return the tree of one statement, as JSON; `OTHER` for those that have no form in it. Raises EngineError."""
    try:
        return execute("SELECT parseQueryToJSON({sql:String})", {"sql": sql}, output="TSVRaw").body.decode()
    except EngineError as error:
        return unread(error)


def trees_of(execute: Execute, statements: Sequence[str]) -> list[str | EngineError]:
    """Return the tree of each statement, or why it has none."""
    found: list[str | EngineError] = []
    if len(statements) == 1:
        return [_tree_or_error(execute, statements[0])]
    for part in batches(statements, _AT_ONCE, _TEXT_AT_ONCE):
        try:
            found += _together(execute, part)
        except EngineError:  # one of them is refused: which?
            found += [_tree_or_error(execute, sql) for sql in part]
    return found


def _together(execute: Execute, statements: Sequence[str]) -> list[str]:
    if len(statements) > _FEW:
        sql = "SELECT parseQueryToJSON(arrayJoin({sql:Array(String)}))"
        body = execute(sql, {"sql": statements}, output="JSONCompact").body
        return [row[0] for row in json.loads(body)["data"]]
    params = {f"sql{number}": sql for number, sql in enumerate(statements)}
    sql = f"SELECT {', '.join(f'parseQueryToJSON({{{name}:String}})' for name in params)}"
    return list(json.loads(execute(sql, params, output="JSONCompact").body)["data"][0])


def _tree_or_error(execute: Execute, sql: str) -> str | EngineError:
    try:
        return tree_of(execute, sql)
    except EngineError as error:
        return error
