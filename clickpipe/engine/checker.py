"""Implements the compiler's `Checker` on an engine: a scratch database with empty tables, dropped at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from clickpipe.compiler import CheckFailure, ResultColumn as CompiledColumn
from clickpipe.engine.batches import Statement, compatible
from clickpipe.engine.ports import Engine
from clickpipe.engine.protocol import EngineError
from clickpipe.sql import Reader, quote_identifier

_SUFFIX = "_to_check"
_AT_ONCE, _TEXT_AT_ONCE = 25, 60_000  # limits on one checking query: SELECTs, and their total characters

_Asked = TypeVar("_Asked")
_Answer = TypeVar("_Answer")


class EngineChecker:
    """Answers the compiler's questions about SQL. Use `scratch` to get one."""

    def __init__(self, engine: Engine, database: str) -> None:
        """Work in `database`, which must exist and be empty."""
        self._engine = engine
        self._database = database

    def table(self, name: str) -> str:
        """Return the quoted name of a scratch table.

        It is qualified and carries a suffix: a deployed table does not go by its plain name either, so SQL that relies
        on that fails here too.
        """
        return f"{quote_identifier(self._database)}.{quote_identifier(name + _SUFFIX)}"

    def create(self, ddl: str) -> CheckFailure | None:
        """Create a table; return ClickHouse's error if it refuses."""
        try:
            self._engine.execute(ddl)
        except EngineError as error:
            return self._failure(error)
        return None

    def syntax(self, sql: str) -> str | CheckFailure:
        """Return the syntax tree of one statement as JSON, or ClickHouse's error."""
        try:
            return self._engine.syntax_tree(sql)
        except EngineError as error:
            return self._failure(error)

    def describe(self, sql: str, params: Mapping[str, Any]) -> list[CompiledColumn] | CheckFailure:
        """Return the columns of a SELECT, or ClickHouse's error."""
        try:
            return [CompiledColumn(c.name, c.type) for c in self._engine.describe(sql, params)]
        except EngineError as error:
            return self._failure(error)

    def create_all(self, statements: Sequence[str]) -> list[CheckFailure | None]:
        """Create tables in parallel; return ClickHouse's error, or None, for each."""
        return self._map(self.create, statements)

    def syntax_all(self, statements: Sequence[str]) -> list[str | CheckFailure]:
        """Return the syntax tree, or ClickHouse's error, for each statement."""
        found = self._engine.syntax_trees(statements)
        return [self._failure(tree) if isinstance(tree, EngineError) else tree for tree in found]

    def describe_all(self, statements: Sequence[Statement]) -> list[list[CompiledColumn] | CheckFailure]:
        """Return the columns, or ClickHouse's error, for each SELECT."""
        return self._map(lambda statement: self.describe(*statement), statements)

    def refusals(self, statements: Sequence[Statement]) -> list[CheckFailure | None]:
        """Return ClickHouse's error, or None, for each SELECT.

        Faster than `describe_all`: without the columns, many SELECTs can be checked in one query.
        """
        found: list[CheckFailure | None] = [None] * len(statements)

        def ask(numbers: Sequence[int]) -> None:
            selects = [f"SELECT count() FROM (\n{statements[n][0]}\n)" for n in numbers]
            params = {name: value for n in numbers for name, value in statements[n][1].items()}
            if not isinstance(self.describe("\nUNION ALL\n".join(selects), params), CheckFailure):
                return
            for n in numbers:
                answer = self.describe(*statements[n])
                found[n] = answer if isinstance(answer, CheckFailure) else None

        self._map(ask, list(compatible(statements, _AT_ONCE, _TEXT_AT_ONCE)))
        return found

    @staticmethod
    def _map(ask: Callable[[_Asked], _Answer], items: Sequence[_Asked]) -> list[_Answer]:
        with ThreadPoolExecutor(max(2, os.cpu_count() or 1)) as pool:
            return list(pool.map(ask, items))

    def _failure(self, error: EngineError) -> CheckFailure:
        message = error.message.replace(f"{self._database}.", "").replace(_SUFFIX, "")
        return CheckFailure(error.name, message, error.offset)


def reader_on(engine: Engine) -> Reader[CheckFailure]:
    """Return a `Reader` that parses SQL with this engine."""
    return Reader(EngineChecker(engine, "").syntax_all)


@contextmanager
def scratch(engine: Engine) -> Iterator[EngineChecker]:
    """Create an empty database and yield a checker on it; drop the database afterwards."""
    database = _free_name()
    engine.execute(f"CREATE DATABASE {quote_identifier(database)} ENGINE = Atomic")
    try:
        yield EngineChecker(engine, database)
    finally:
        engine.execute(f"DROP DATABASE {quote_identifier(database)} SYNC")


def throwaway(engine: Engine) -> EngineChecker:
    """Return a checker on an empty database that nobody drops: faster, for engines in memory.

    The database disappears when the last such engine of the process is closed.
    """
    database = _free_name()
    engine.execute(f"CREATE DATABASE {quote_identifier(database)} ENGINE = Memory")
    return EngineChecker(engine, database)


def _free_name() -> str:
    return f"check_{os.urandom(6).hex()}"
