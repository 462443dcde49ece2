"""Inserts rows that have types as they are, or as JSON lines if not all of them fit."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from clickpipe.engine import EXACT_JSON, ONE_THREAD, Engine, EngineError, ParquetFile, Settings, once
from clickpipe.ingest.body import Lines
from clickpipe.ingest.judge import is_passing
from clickpipe.ingest.mapping import STAGED
from clickpipe.ingest.probe import Probe
from clickpipe.ingest.typed import TypedColumns, typed_columns
from clickpipe.ingest.writes import retarget
from clickpipe.project import DataSource
from clickpipe.sql import quote_identifier

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TypedRows:
    """Rows in ClickHouse's Native format: one block of columns, whose names and types are in `structure`.

    `columns` maps them to a data source's columns; None if they have to go as lines.
    """

    data: bytes
    structure: str
    columns: TypedColumns | None


def typed_parts(file: ParquetFile, source: DataSource) -> Iterator[TypedRows]:
    """Yield the rows of a file for a data source. Raises ClickpipeError if the rest cannot be read.

    Part boundaries depend only on the file, so that an interrupted import can continue with the next part.
    """
    structure = ", ".join(f"{quote_identifier(name)} {type_}" for name, type_ in file.columns)
    columns = typed_columns(source, file.columns)
    for data in file.blocks():
        yield TypedRows(data, structure, columns)


class LoadedRows:
    """Typed rows in an in-memory table."""

    def __init__(self, engine: Engine, table: str, columns: TypedColumns | None) -> None:
        """Use a table that is already filled."""
        self._engine, self._table, self._columns = engine, table, columns

    def insert(self, into: str, token: str, probe: Callable[[], Probe] | None) -> int:
        """Insert the rows if all fit, and return their number; 0 if they have to go as lines.

        `probe` returns the copy of table and views to test first. The token makes the insert idempotent.
        """
        if self._columns is None:
            return 0
        settings: Settings = {**ONE_THREAD, **once(token)}
        body = self._engine.execute(self._columns.counts(self._table), output="JSONCompact").body
        rows, others = map(int, json.loads(body)["data"][0])
        if others:
            return 0
        statement = self._columns.insert(self._table, into)
        try:
            if probe is not None:
                self._engine.execute(retarget(statement, probe().table), output="Null", settings=ONE_THREAD)
            self._engine.execute(statement, output="Null", settings=settings)
        except EngineError as error:
            if is_passing(error):
                _LOGGER.warning("a part of a file could not be inserted directly: %s", error)
            return 0
        return rows

    def lines(self) -> Lines:
        """Return the rows as JSON lines. Raises EngineError."""
        sql = f"SELECT * FROM {self._table}"
        return Lines(self._engine.execute(sql, output="JSONEachRow", settings=EXACT_JSON).body)


@contextmanager
def loaded(engine: Engine, owner: str, rows: TypedRows) -> Iterator[LoadedRows]:
    """Yield the rows in a temporary table with the prefix `owner`. Raises EngineError."""
    table = f"{quote_identifier(STAGED)}.{quote_identifier(f'{owner}_typed')}"
    engine.execute(f"DROP TABLE IF EXISTS {table}")
    engine.execute(f"CREATE TABLE {table} ({rows.structure}) ENGINE = Memory")
    try:
        engine.load(table, "Native", rows.data)
        yield LoadedRows(engine, table, rows.columns)
    finally:
        engine.execute(f"DROP TABLE IF EXISTS {table}")
