"""The compiler's `Checker` on an engine: a scratch database with empty tables, dropped at the end."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from clickpipe.compiler import CheckFailure, ResultColumn as CompiledColumn
from clickpipe.engine.protocol import Engine, EngineError
from clickpipe.sql import quote_identifier

_SUFFIX = "_to_check"


class EngineChecker:
    """Answers the compiler's questions; use `scratch` to get one."""

    def __init__(self, engine: Engine, database: str) -> None:
        """Work in a database that exists and is empty."""
        self._engine = engine
        self._database = database

    def table(self, name: str) -> str:
        """Return the quoted name of a scratch table: not its own name alone, as it will not be when deployed."""
        return f"{quote_identifier(self._database)}.{quote_identifier(name + _SUFFIX)}"

    def create(self, ddl: str) -> CheckFailure | None:
        """Create a table; return ClickHouse's refusal."""
        try:
            self._engine.execute(ddl)
        except EngineError as error:
            return self._failure(error)
        return None

    def syntax(self, sql: str, params: Mapping[str, Any]) -> str | CheckFailure:
        """Return the syntax tree's text."""
        try:
            return self._engine.syntax_tree(sql, params)
        except EngineError as error:
            return self._failure(error)

    def describe(self, sql: str, params: Mapping[str, Any]) -> list[CompiledColumn] | CheckFailure:
        """Return the columns of a SELECT."""
        try:
            return [CompiledColumn(c.name, c.type) for c in self._engine.describe(sql, params)]
        except EngineError as error:
            return self._failure(error)

    def _failure(self, error: EngineError) -> CheckFailure:
        message = error.message.replace(f"{self._database}.", "").replace(_SUFFIX, "")
        return CheckFailure(error.name, message, error.offset)


@contextmanager
def scratch(engine: Engine) -> Iterator[EngineChecker]:
    """Give a checker on an empty database; the database is gone afterwards."""
    database = f"check_{uuid.uuid4().hex[:12]}"
    quoted = quote_identifier(database)
    engine.execute(f"CREATE DATABASE {quoted} ENGINE = Atomic")
    try:
        yield EngineChecker(engine, database)
    finally:
        engine.execute(f"DROP DATABASE {quoted} SYNC")
