"""What ClickHouse clients see of a workspace: one database, its tables and their columns, and the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from clickpipe.catalog import Live
from clickpipe.query.client_settings import Setting

_NAMES = frozenset({"", "default", "__default__"})
INFORMATION_SCHEMA = "information_schema"


@dataclass(frozen=True, slots=True)
class ShownColumn:
    """A column as `system.columns` lists it."""

    name: str
    type: str
    default: str = ""
    codec: str = ""


@dataclass(frozen=True, slots=True)
class ShownTable:
    """A data source, or an endpoint, shown as a view."""

    name: str
    engine: str
    columns: Sequence[ShownColumn]
    comment: str = ""
    sorting_key: str = ""
    partition_key: str = ""
    primary_key: str = ""
    rows: int | None = None
    size: int | None = None

    def definition(self, database: str) -> str:
        """Return a CREATE statement that describes it."""
        kind = "VIEW" if self.engine == "View" else "TABLE"
        columns = ",\n".join(
            f"    `{c.name}` {c.type}" + (f" DEFAULT {c.default}" if c.default else "") for c in self.columns
        )
        if kind == "VIEW":
            return f"CREATE VIEW {database}.{self.name}\n(\n{columns}\n)"
        keys = (("PARTITION BY", self.partition_key), ("PRIMARY KEY", self.primary_key), ("ORDER BY", self.sorting_key))
        told = "".join(f"\n{word} {key}" for word, key in keys if key)
        return f"CREATE TABLE {database}.{self.name}\n(\n{columns}\n)\nENGINE = {self.engine}{told}"


@dataclass(frozen=True)
class Shown:
    """What one caller sees; `readable(kind, name)` returns whether it may read a data source or pipe.

    `counts` returns (rows, bytes) by data source, and is called only if needed; `settings` are the engine's.
    """

    live: Live
    database: str
    readable: Callable[[str, str], bool]
    counts: Callable[[], Mapping[str, tuple[int, int]]] = dict
    settings: Mapping[str, Setting] = field(default_factory=dict)

    def canonical(self, database: str) -> str:
        """Return the database that a client means; '' if it does not exist."""
        if database in _NAMES or database == self.database:
            return self.database
        lower = database.lower()
        return lower if lower in {"system", INFORMATION_SCHEMA} else ""

    def databases(self) -> list[str]:
        """Return the databases to list: only the workspace's."""
        return [self.database]

    def tables(self, *, counted: bool = False) -> list[ShownTable]:
        """Return the tables, sorted by name; with rows and bytes if `counted`."""
        compiled = self.live.compiled
        counts = self.counts() if counted else {}
        found = []
        for source in compiled.data_sources.values():
            if self.readable("DATASOURCES", source.name):
                rows, size = counts.get(source.name, (None, None))
                columns = [
                    ShownColumn(c.name, c.type, c.default.text if c.default else "", c.codec or "")
                    for c in source.columns
                ]
                option = source.engine.option
                sorting = option("SORTING_KEY")
                keys = (sorting, option("PARTITION_KEY"), option("PRIMARY_KEY") or sorting)
                name, description = source.name, source.description
                found.append(ShownTable(name, source.engine.name.text, columns, description, *keys, rows, size))
        for name, function in compiled.endpoints.items():
            if self.readable("PIPES", name):
                columns = [ShownColumn(c.name, c.type) for c in function.columns]
                found.append(ShownTable(name, "View", columns, function.description))
        return sorted(found, key=lambda table: table.name)

    def table(self, name: str) -> ShownTable | None:
        """Return a table by name, or None."""
        return next((table for table in self.tables() if table.name == name), None)
