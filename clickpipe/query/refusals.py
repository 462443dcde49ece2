"""Refuses forbidden queries, and turns the engine's errors into what callers may see."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from clickpipe.catalog import Live, without_physical_names
from clickpipe.diagnostics import ClickpipeError, redact, redact_parameters
from clickpipe.engine import Engine, EngineError, Parts, QueryResult
from clickpipe.query.formats import format_named
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
_SHOWN, _MOST_SHOWN = 50, 5  # characters per value, number of parameters
_QUOTED = re.compile(r"'(?:[^'\\]|\\.|'')*+(?:'|\Z)", re.DOTALL)
_SCOPE = re.compile(r"\b(?:[Ii]n scope|While processing|while executing)\b")


def secrets_of(params: Mapping[str, Any]) -> list[str]:
    """Return the values of the secrets among the parameters."""
    return [str(value) for name, value in params.items() if name.startswith(SECRET_NAMES) and value]


def hide_secrets(text: str, params: Mapping[str, Any]) -> str:
    """Replace secrets in ClickHouse's text by ***, as errors and plans show values.

    If there are any secrets, all quoted text is hidden: hiding only exact matches would let a caller guess parts.
    """
    secrets = secrets_of(params)
    return redact(_QUOTED.sub("'***'", text), secrets) if secrets else text


def judge(engine: Engine, live: Live, composed: Composition, sources: Collection[str] = (), tree: str = "") -> str:
    """Raise ClickpipeError unless a composed text is one SELECT over the workspace's tables, and means what it should.

    `sources` are table functions that it may also read; `tree` is its syntax tree, if known. Returns the tree. Raises
    EngineError if ClickHouse cannot parse it.
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
        format_named(refusal.format)  # raises for an unknown format, and lists the supported ones
    if refusal is not None:
        raise ClickpipeError(refusal.message, code="not_allowed")


def failure(error: EngineError) -> ClickpipeError:
    """Return the error that a caller gets for an engine's error: without physical names."""
    message = without_physical_names(_without_scope(error.message)).strip()
    status = 500 if error.is_damage else _STATUS.get(error.name, 400)
    told = f"[Error] {message} ({error.name})"
    headers = {"X-DB-Exception-Code": str(error.code)} if error.code else {}
    return ClickpipeError(told, status=status, code=error.name.lower() or "engine_error", headers=headers)


def shown_error(error: BaseException) -> str:
    """Return an error's message as stored for callers: an engine's without physical names."""
    if not isinstance(error, EngineError):
        return str(error)
    return without_physical_names(_without_scope(error.message)).strip()


def with_parameters(told: ClickpipeError, error: EngineError, values: Mapping[str, Any]) -> ClickpipeError:
    """Add the caller's values to an endpoint's error if ClickHouse could not parse a number or time.

    One of them may be the culprit, if the template treats it as a number or time.
    """
    shown = redact_parameters({name: str(value) for name, value in list(values.items())[:_MOST_SHOWN]})
    given = [f"{name} = {value[:_SHOWN]!r}" for name, value in shown.items()]
    if given and error.name.startswith("CANNOT_PARSE"):
        told.message += f": a parameter may be what cannot be read: {', '.join(given)}"
    return told


def _without_scope(message: str) -> str:
    """Return ClickHouse's message without the query text that it repeats at the end."""
    scope = _SCOPE.search(message)
    if scope is None:
        return message
    said = message[: scope.start()].rstrip()
    return said[:-1] if said.endswith((".", ":")) else said


class _Hiding:
    """The rest of a streamed result, with its error rewritten."""

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


def hiding(result: QueryResult, hide: Hide) -> QueryResult:
    """Return a result whose errors are rewritten by `hide`, if it is streamed and fails in the middle."""
    return replace(result, more=_Hiding(result.more, hide)) if result.more is not None else result
