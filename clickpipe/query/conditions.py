"""Checks conditions that callers send: `delete_condition`, `replace_condition`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from clickpipe.catalog import Live
from clickpipe.compiler import Composer
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, EngineError
from clickpipe.query.formats import require_length
from clickpipe.query.refusals import failure, judge, refuse
from clickpipe.sql import TableReference, check, read_tree, refuse_slow
from clickpipe.template import Binder

_BEFORE, _BEHIND = "SELECT (\n", "\n)"


def compose_condition(
    engine: Engine, live: Live, text: str, allowed: Callable[[str, str], None] = lambda _kind, _name: None
) -> str:
    """Return a condition rewritten to physical tables. Raises ClickpipeError 400 if it is not a single expression.

    Its sub-queries may read data sources and pipes. `allowed(kind, name)` is called for each (`DATASOURCES`, `PIPES`,
    `SERVICE`) and raises if the author may not read it.
    """
    require_length(text)
    if not text.strip():
        message = "The condition is empty: it is SQL such as `country = 'ES'`."
        raise ClickpipeError(message, code="bad_condition")
    statement = f"{_BEFORE}{text}{_BEHIND}"
    try:
        tree = engine.syntax_tree(statement)
        if not _is_one_expression(read_tree(tree)):
            message = "The condition is not one expression: it is SQL such as `country = 'ES'`."
            raise ClickpipeError(message, code="bad_condition")
        engine.syntax_tree(f"SELECT [\n{text}\n]")  # refuses `1) OR (1`, which fits between the brackets above
        refusal = check(tree, (), settings=False)
        if refusal is not None:
            raise ClickpipeError(refusal.message, code="not_allowed")
        refuse(next(refuse_slow(read_tree(tree)), None))
        composer = Composer(live.compiled.project, live.compiled.reader, live.table)
        composed = composer.text(statement, None, None, {}, Binder())
        for table in composed.syntax.tables:
            if table not in composed.tables and table.name not in live.compiled.known_names.columns:
                message = f"Resource '{table.full_name}' not found"
                raise ClickpipeError(message, code="not_found")
            if table in composed.tables:
                allowed(*_resource(live, table))
        judged = judge(engine, live, composed)
        refuse(next(refuse_slow(read_tree(judged), makers=False), None))
    except EngineError as error:
        raise failure(error) from None
    return composed.text[len(_BEFORE) : -len(_BEHIND)]


def _resource(live: Live, table: TableReference) -> tuple[str, str]:
    """Return the kind and name of the resource that a table name refers to."""
    if table.full_name in live.service:
        return "SERVICE", table.name
    name = live.compiled.project.canonical(table.full_name)
    if name in live.compiled.project.pipes:
        return "PIPES", name
    return "DATASOURCES", live.source_of(name)


def _is_one_expression(root: Mapping[str, Any]) -> bool:
    """Return whether a tree is a SELECT of one column without any other clause."""
    selects = root.get("list_of_selects", {}).get("children", [])
    if root["type"] != "SelectWithUnionQuery" or len(selects) != 1 or selects[0]["type"] != "SelectQuery":
        return False
    (select,) = selects
    clauses = {key for key, value in select.items() if value not in (None, False, [], {})} - {"type", "select"}
    return not clauses and len(select["select"]["children"]) == 1
