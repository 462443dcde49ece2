"""Gets syntax trees from ClickHouse's own parser, which takes statements as values: nothing in them runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from clickpipe.engine.batches import batches
from clickpipe.engine.protocol import EngineError, QueryResult
from clickpipe.engine.unread import unread

_AT_ONCE, _TEXT_AT_ONCE = 200, 100_000  # limits on one parsing query: statements, and their total characters
_FEW = 4  # up to this many are parsed faster as columns than as rows

Execute = Callable[..., QueryResult]  # `Engine.execute`


def tree_of(execute: Execute, sql: str) -> str:
    """Return one statement's syntax tree as JSON, or `OTHER` if JSON cannot represent it. Raises EngineError."""
    try:
        return execute("SELECT parseQueryToJSON({sql:String})", {"sql": sql}, output="TSVRaw").body.decode()
    except EngineError as error:
        return unread(error)


def trees_of(execute: Execute, statements: Sequence[str]) -> list[str | EngineError]:
    """Return each statement's tree, or the error."""
    found: list[str | EngineError] = []
    if len(statements) == 1:
        return [_tree_or_error(execute, statements[0])]
    for part in batches(statements, _AT_ONCE, _TEXT_AT_ONCE):
        try:
            found += _together(execute, part)
        except EngineError:  # find out which of them is refused
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
