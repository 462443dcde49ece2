"""Creates and drops tables and views in a workspace's database."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence

from clickpipe.deploy.planning.physical import PhysicalObject
from clickpipe.engine import Engine, EngineError
from clickpipe.sql import quote_identifier

_LOGGER = logging.getLogger(__name__)

Progress = Callable[[str], None]


class Tables:
    """The tables and views of one database."""

    def __init__(self, engine: Engine, database: str) -> None:
        """Work in a database; `create_database` creates it."""
        self._engine = engine
        self._database = database
        self.kept: frozenset[str] = frozenset()  # names of tables that a later step resumes with

    def create_database(self) -> None:
        """Create the database if it does not exist."""
        self._engine.storage.create_database(self._database)

    def existing(self) -> set[str]:
        """Return the names of all tables and views."""
        return set(self._engine.storage.tables(self._database))

    def create(self, objects: Sequence[PhysicalObject], progress: Progress = lambda _: None) -> None:
        """Create tables or views. Raises EngineError."""
        for item in objects:
            progress(f"creating {item.name}")
            self._engine.execute(item.ddl)

    def drop(self, names: Iterable[str]) -> None:
        """Drop tables or views. Raises EngineError."""
        self._engine.storage.drop(self._qualified(name) for name in names)

    def fill(self, name: str, table: str) -> None:
        """Fill a new table with the rows of one with the same structure. Raises EngineError."""
        self._engine.storage.fill(self._qualified(name), table)

    def try_drop(self, names: Iterable[str]) -> None:
        """Drop tables that nobody needs; the next deployment or start removes those that cannot be dropped now."""
        for name in names:
            try:
                self.drop([name])
            except EngineError:
                _LOGGER.exception("could not remove %s", name)

    def collect(self, used: Collection[str], progress: Progress = lambda _: None) -> None:
        """Drop what no deployment uses, views first, so that no row is written twice.

        ClickHouse keeps a dropped table until the queries that read it have ended.
        """
        unused = self.existing() - set(used) - self.kept
        views = self.views()
        for name in sorted(unused, key=lambda n: n not in views):
            progress(f"removing {name}")
            self.drop([name])

    def views(self) -> set[str]:
        """Return the names of all materialized views."""
        tables = self._engine.storage.tables(self._database)
        return {name for name, engine in tables.items() if engine == "MaterializedView"}

    def _qualified(self, name: str) -> str:
        return f"{quote_identifier(self._database)}.{quote_identifier(name)}"
