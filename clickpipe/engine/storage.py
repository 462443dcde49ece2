"""Where rows lie: databases and tables made, copied, swapped, measured and dropped.

Tables are named by their quoted, qualified names (`` `database`.`table` ``), as SQL takes them. Only this module and
its neighbours know how ClickHouse tells of them (`system.*`) and how it shares files (`ATTACH PARTITION`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clickpipe.engine.ports import Queries
from clickpipe.engine.protocol import Params
from clickpipe.sql import quote_identifier, quote_literal


@dataclass(frozen=True, slots=True)
class Extent:
    """How much a table holds: rows, bytes on disk, parts. Tables that have no parts hold nothing by this measure."""

    rows: int = 0
    size: int = 0
    parts: int = 0


@dataclass(frozen=True, slots=True)
class Crowded:
    """A table with very many partitions."""

    table: str
    partitions: int


def split_table(table: str) -> tuple[str, str]:
    """Return database and name of a table, both plain."""
    database, name = table.split(".", 1)
    return database.strip("`"), name.strip("`")


class Storage:
    """The tables of one ClickHouse. Methods block and raise EngineError."""

    def __init__(self, queries: Queries) -> None:
        """Run statements by `queries`; nothing is asked yet."""
        self._queries = queries

    # Databases

    def databases(self, pattern: str) -> list[str]:
        """Return the names of databases that match a regular expression."""
        return self._lines("SELECT name FROM system.databases WHERE match(name, {pattern:String})", pattern=pattern)

    def create_database(self, name: str, engine: str = "") -> None:
        """Make a database, if it is not there."""
        kind = f" ENGINE = {engine}" if engine else ""
        self._queries.execute(f"CREATE DATABASE IF NOT EXISTS {quote_identifier(name)}{kind}")

    def drop_database(self, name: str) -> None:
        """Remove a database, if it is there, and wait until its files are gone."""
        self._queries.execute(f"DROP DATABASE IF EXISTS {quote_identifier(name)} SYNC")

    # Which tables there are

    def tables(self, database: str) -> dict[str, str]:
        """Return the engine of each table and view of a database, by its name."""
        sql = "SELECT name, engine FROM system.tables WHERE database = {database:String}"
        return dict(self._rows(sql, database=database))

    def exists(self, table: str) -> bool:
        """Tell whether a table is there."""
        return self._queries.execute(f"EXISTS TABLE {table}", output="TSVRaw").body.strip() == b"1"

    def has_parts(self, table: str) -> bool:
        """Tell whether a table keeps its rows in parts that others can share: it is of the MergeTree family."""
        database, name = split_table(table)
        sql = "SELECT engine LIKE '%MergeTree' FROM system.tables WHERE database = {d:String} AND name = {t:String}"
        return self._lines(sql, d=database, t=name) == ["1"]

    def identity(self, table: str) -> str:
        """Return what stays the same of a table when it gets another name; '' for none."""
        database, name = split_table(table)
        sql = "SELECT uuid FROM system.tables WHERE database = {d:String} AND name = {t:String}"
        return "".join(self._lines(sql, d=database, t=name))

    def views_of(self, tables: Iterable[str]) -> set[str]:
        """Return the names of the materialized views that read any of some tables of one database."""
        names = [split_table(table) for table in tables]
        sql = (
            "SELECT arrayJoin(dependencies_table) FROM system.tables "
            "WHERE database = {d:String} AND name IN {tables:Array(String)}"
        )
        return set(self._lines(sql, d=names[0][0], tables=[name for _, name in names])) if names else set()

    # How much they hold

    def extents(self, database: str) -> dict[str, Extent]:
        """Return how much each table of a database holds, by its name; those without parts are left out."""
        sql = (
            "SELECT table, sum(rows), sum(bytes_on_disk), count() FROM system.parts "
            "WHERE active AND database = {d:String} GROUP BY table"
        )
        return {table: Extent(int(rows), int(size), int(n)) for table, rows, size, n in self._rows(sql, d=database)}

    def count(self, table: str) -> int:
        """Return how many rows a table has."""
        return int(self._lines(f"SELECT count() FROM {table}")[0])

    def extent(self, table: str) -> Extent:
        """Return how much a table holds; its rows are counted whatever its engine."""
        database, name = split_table(table)
        sql = (
            "SELECT sum(bytes_on_disk), count() FROM system.parts "
            "WHERE active AND database = {d:String} AND table = {t:String}"
        )
        ((size, parts),) = self._rows(sql, d=database, t=name)
        return Extent(self.count(table), int(size), int(parts))

    def partitions(self, tables: Sequence[str]) -> dict[str, int]:
        """Return the partitions of some tables of one database, in order, and how many rows are in each."""
        names = [split_table(table) for table in tables]
        sql = (
            "SELECT partition_id, sum(rows) FROM system.parts WHERE active AND database = {d:String} "
            "AND table IN {tables:Array(String)} GROUP BY partition_id ORDER BY partition_id"
        )
        found = self._rows(sql, d=names[0][0], tables=[name for _, name in names])
        return {partition: int(rows) for partition, rows in found}

    def most_parts(self, database: str) -> int:
        """Return how many parts the partition of a database has that has most."""
        sql = (
            "SELECT max(parts) FROM (SELECT count() AS parts FROM system.parts "
            "WHERE active AND database = {d:String} GROUP BY table, partition)"
        )
        return int(self._lines(sql, d=database)[0])

    def crowded(self, prefix: str, most: int) -> list[Crowded]:
        """Return the tables with more than so many partitions, of databases whose names begin so."""
        sql = (
            "SELECT database, table, uniqExact(partition_id) AS partitions FROM system.parts "
            "WHERE active AND startsWith(database, {prefix:String}) GROUP BY ALL HAVING partitions > {most:UInt64} "
            "ORDER BY ALL"
        )
        found = self._rows(sql, prefix=prefix, most=most)
        return [Crowded(f"{quote_identifier(d)}.{quote_identifier(t)}", int(count)) for d, t, count in found]

    def damaged(self, prefix: str) -> dict[str, int]:
        """Return how many parts ClickHouse put aside as damaged, by table (`database.table`)."""
        sql = (
            "SELECT concat(database, '.', table), count() FROM system.detached_parts "
            "WHERE reason LIKE '%broken%' AND startsWith(database, {prefix:String}) GROUP BY ALL ORDER BY ALL"
        )
        return {table: int(count) for table, count in self._rows(sql, prefix=prefix)}

    def columns_in_all_parts(self, table: str) -> set[str]:
        """Return the columns that all parts of a table have written: of others, some rows have the default only."""
        database, name = split_table(table)
        sql = (
            "SELECT column FROM system.parts_columns WHERE active AND database = {d:String} AND table = {t:String} "
            "GROUP BY column HAVING count() = "
            "(SELECT count() FROM system.parts WHERE active AND database = {d:String} AND table = {t:String})"
        )
        return set(self._lines(sql, d=database, t=name))

    # How far a statement is

    def rows_read(self, tag: str) -> tuple[int, int]:
        """Return how many rows statements with the setting `log_comment` = `tag` have read, and about of how many."""
        sql = (
            "SELECT sum(read_rows), sum(total_rows_approx) FROM system.processes "
            "WHERE Settings['log_comment'] = {tag:String}"
        )
        ((read, total),) = self._rows(sql, tag=tag)
        return int(read), int(total)

    def parts_to_alter(self, table: str) -> int:
        """Return how many parts the ALTERs of a table have left."""
        database, name = split_table(table)
        sql = (
            "SELECT sum(parts_to_do) FROM system.mutations "
            "WHERE database = {d:String} AND table = {t:String} AND NOT is_done"
        )
        return int(self._lines(sql, d=database, t=name)[0])

    # Tables made, filled and removed

    def create_like(self, new: str, table: str, clauses: str = "") -> None:
        """Make an empty table like another; `clauses` (` ENGINE = …`) say what differs."""
        self._queries.execute(f"CREATE TABLE {new} AS {table}{clauses}")

    def snapshot(self, new: str, table: str) -> None:
        """Make a table with the rows that another has now: it shares the files where it can, else they are copied."""
        self.create_like(new, table)
        self.fill(new, table)

    def share(self, into: str, table: str, partition: str | None = None) -> None:
        """Give a table the files of an equal one as they are, of one partition or all; no view takes them for rows."""
        which = "ALL" if partition is None else f"ID {quote_literal(partition)}"
        self._queries.execute(f"ALTER TABLE {into} ATTACH PARTITION {which} FROM {table}")

    def fill(self, into: str, table: str) -> None:
        """Give an empty table the rows of an equal one: its files where it has any, else they are copied."""
        if self.has_parts(table):
            self.share(into, table)
        else:
            self._queries.execute(f"INSERT INTO {into} SELECT * FROM {table}")

    def swap(self, table: str, other: str) -> None:
        """Have two tables change names, in one moment."""
        self._queries.execute(f"EXCHANGE TABLES {table} AND {other}")

    def truncate(self, table: str) -> None:
        """Remove all rows of a table."""
        self._queries.execute(f"TRUNCATE TABLE {table}")

    def drop(self, tables: Iterable[str]) -> None:
        """Remove tables or views that are there, one after the other."""
        for table in tables:
            self._queries.execute(f"DROP TABLE IF EXISTS {table}")

    def _rows(self, sql: str, **params: str | int | list[str]) -> list[list[Any]]:
        return json.loads(self._queries.execute(sql, _params(params), output="JSONCompact").body)["data"]  # type: ignore[no-any-return]

    def _lines(self, sql: str, **params: str | int | list[str]) -> list[str]:
        """Return the values of a result of one column."""
        return [row[0] if isinstance(row[0], str) else str(row[0]) for row in self._rows(sql, **params)]


def _params(params: Mapping[str, str | int | list[str]]) -> Params:
    return dict(params)
