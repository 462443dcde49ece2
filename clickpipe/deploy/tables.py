"""Tables and views of a workspace's database: made, removed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence

from clickpipe.deploy.planning.physical import PhysicalObject
from clickpipe.engine import Engine, EngineError
from clickpipe.sql import quote_identifier

_LOGGER = logging.getLogger(__name__)

Progress = Callable[[str], None]


class Tables:
    """What lies in one database."""

    def __init__(self, engine: Engine, database: str) -> None:
        """Work in a database, made when absent by `create_database`."""
        self._engine = engine
        self._database = database
        self.kept: frozenset[str] = frozenset()  # names of tables that something goes on with

    def create_database(self) -> None:
        """Make the database."""
        self._engine.storage.create_database(self._database)

    def existing(self) -> set[str]:
        """Return the names of all there is."""
        return set(self._engine.storage.tables(self._database))

    def create(self, objects: Sequence[PhysicalObject], progress: Progress = lambda _: None) -> None:
        """Make tables or views. Raises EngineError."""
        for item in objects:
            progress(f"creating {item.name}")
            self._engine.execute(item.ddl)

    def drop(self, names: Iterable[str]) -> None:
        """Remove tables or views. Raises EngineError."""
        self._engine.storage.drop(self._qualified(name) for name in names)

    def fill(self, name: str, table: str) -> None:
        """Give a new table the rows of an equal one as they are. Raises EngineError."""
        self._engine.storage.fill(self._qualified(name), table)

    def try_drop(self, names: Iterable[str]) -> None:
        """Remove tables that nobody needs; the next deployment, or the next start, removes what cannot be now."""
        for name in names:
            try:
                self.drop([name])
            except EngineError:
                _LOGGER.exception("could not remove %s", name)

    def collect(self, used: Collection[str], progress: Progress = lambda _: None) -> None:
        """Remove what no deployment uses: views at once, so that nothing is written twice.

        ClickHouse keeps a dropped table until the queries that read it have ended.
        """
        unused = self.existing() - set(used) - self.kept
        views = self.views()
        for name in sorted(unused, key=lambda n: n not in views):
            progress(f"removing {name}")
            self.drop([name])

    def views(self) -> set[str]:
        """Return the names of the materialized views there are."""
        tables = self._engine.storage.tables(self._database)
        return {name for name, engine in tables.items() if engine == "MaterializedView"}

    def _qualified(self, name: str) -> str:
        return f"{quote_identifier(self._database)}.{quote_identifier(name)}"
