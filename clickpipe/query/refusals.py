"""What a query may not do, and what a caller is told of the engine's refusals."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from clickpipe.catalog import Live, without_physical_names
from clickpipe.diagnostics import ClickpipeError, redact, redact_parameters
from clickpipe.engine import Engine, EngineError, Parts, QueryResult
from clickpipe.query.formats import format_named
from clickpipe.query.limiter import Running
from clickpipe.sql import Composition, Refusal, check, is_as_meant
from clickpipe.template import SECRET_NAMES

Hide = Callable[[EngineError], str]
_STATUS = {
    "TIMEOUT_EXCEEDED": 408,
    "MEMORY_LIMIT_EXCEEDED": 413,
    "TOO_MANY_ROWS_OR_BYTES": 413,
    "TOO_MANY_ROWS": 413,
    "TOO_MANY_BYTES": 413,
    "TOO_MANY_SIMULTANEOUS_QUERIES": 429,
}
_SHOWN, _MOST_SHOWN = 50, 5  # characters of a value, parameters
_QUOTED = re.compile(r"'(?:[^'\\]|\\.|'')*+(?:'|\Z)", re.DOTALL)
_SCOPE = re.compile(r"\b(?:[Ii]n scope|While processing|while executing)\b")


def secrets_of(params: Mapping[str, Any]) -> list[str]:
    """Return the values of secrets among parameters."""
    return [str(value) for name, value in params.items() if name.startswith(SECRET_NAMES) and value]


def hide_secrets(text: str, params: Mapping[str, Any]) -> str:
    """Return what ClickHouse says with *** for each secret among the parameters: errors and plans show values.

    All quoted texts are hidden then, whatever stands in them: were it only secrets, a caller could try parts of them.
    """
    secrets = secrets_of(params)
    return redact(_QUOTED.sub("'***'", text), secrets) if secrets else text


def judge(engine: Engine, live: Live, composed: Composition, sources: Collection[str] = (), tree: str = "") -> str:
    """Raise ClickpipeError unless a composed text is one SELECT over the workspace's tables, and what was meant.

    `sources` are table functions that it may read beside them; `tree` is its syntax tree, where ClickHouse gave it
    before. Returns the tree. Raises EngineError.
    """
    tables = {table.replace("`", "") for table in (*live.physical.tables.values(), *live.service.values())}
    tree = tree or engine.syntax_tree(composed.text)
    refuse(check(tree, tables, sources=sources))
    if not is_as_meant(composed, tree):
        message = "This query cannot be put together with what it reads: ClickHouse would read it in another way."
        raise ClickpipeError(message, code="not_allowed")
    return tree


def refuse(refusal: Refusal | None) -> None:
    """Raise ClickpipeError for a refusal."""
    if refusal is not None and refusal.format:
        format_named(refusal.format)  # raises for one that there is not, with the names of those there are
    if refusal is not None:
        raise ClickpipeError(refusal.message, code="not_allowed")


def failure(error: EngineError) -> ClickpipeError:
    """Return what a caller is told of an engine's refusal: its message without physical names."""
    message = without_physical_names(_without_scope(error.message)).strip()
    status = _STATUS.get(error.name, 400)
    told = f"[Error] {message} ({error.name})"
    headers = {"X-DB-Exception-Code": str(error.code)} if error.code else {}
    return ClickpipeError(told, status=status, code=error.name.lower() or "engine_error", headers=headers)


def shown_error(error: BaseException) -> str:
    """Return what is kept of an error for callers to see: of an engine's, its message without physical names."""
    if not isinstance(error, EngineError):
        return str(error)
    return without_physical_names(_without_scope(error.message)).strip()


def with_parameters(told: ClickpipeError, error: EngineError, values: Mapping[str, Any]) -> ClickpipeError:
    """Return what a caller is told of an endpoint's refusal, with the values that the caller gave.

    Where ClickHouse could not read a text as a number or a time, it may be one of them that the template takes for one.
    """
    shown = redact_parameters({name: str(value) for name, value in list(values.items())[:_MOST_SHOWN]})
    given = [f"{name} = {value[:_SHOWN]!r}" for name, value in shown.items()]
    if given and error.name.startswith("CANNOT_PARSE"):
        told.message += f": a parameter may be what cannot be read: {', '.join(given)}"
    return told


def _without_scope(message: str) -> str:
    """Return what ClickHouse says without the query's own text, which it repeats at the end."""
    scope = _SCOPE.search(message)
    if scope is None:
        return message
    said = message[: scope.start()].rstrip()
    return said[:-1] if said.endswith((".", ":")) else said


class _Told:
    """The rest of a result, whose error is told otherwise."""

    def __init__(self, parts: Parts, hide: Hide) -> None:
        self._parts, self._hide = parts, hide

    def take(self) -> bytes | None:
        try:
            return self._parts.take()
        except EngineError as error:
            error.message = self._hide(error)
            raise

    def close(self) -> None:
        self._parts.close()


def hidden(running: Running, hide: Hide) -> Running:
    """Return a query; of its error only what `hide` returns is told, also behind the first part of its result."""
    told: Future[QueryResult] = Future()

    def tell(done: Future[QueryResult]) -> None:
        if done.cancelled():
            told.cancel()
            return
        error = done.exception()
        if isinstance(error, EngineError):
            error.message = hide(error)
        if error is not None:
            told.set_exception(error)
        else:
            result = done.result()
            told.set_result(replace(result, more=_Told(result.more, hide)) if result.more is not None else result)

    running.future.add_done_callback(tell)
    return Running(told, running.cancel)
