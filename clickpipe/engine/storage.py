"""Creates, copies, swaps, measures and drops databases and tables.

Tables are given by quoted, qualified names (`` `database`.`table` ``), as in SQL. Only this room knows where ClickHouse
describes them (`system.*`) and how tables share files (`ATTACH PARTITION`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clickpipe.engine.bad_parts import BadParts
from clickpipe.engine.ports import Queries
from clickpipe.engine.protocol import Params, ResultColumn
from clickpipe.sql import quote_identifier, quote_literal

# Aggregate functions, in the types of columns, whose result depends on the order of rows.
_ORDERED = "AggregateFunction\\([0-9, ]*(any|first_value|last_value|arg(Min|Max)|group(Array|Concat)|deltaSum)"


@dataclass(frozen=True, slots=True)
class Extent:
    """A table's size: rows, bytes on disk, parts. All zero for tables that have no parts."""

    rows: int = 0
    size: int = 0
    parts: int = 0


@dataclass(frozen=True, slots=True)
class Crowded:
    """A table with very many partitions."""

    table: str
    partitions: int


def split_table(table: str) -> tuple[str, str]:
    """Return a table's database and name, both unquoted."""
    database, name = table.split(".", 1)
    return database.strip("`"), name.strip("`")


class Storage:
    """The tables of one ClickHouse. Methods block, and raise EngineError."""

    def __init__(self, queries: Queries, bad: BadParts | None = None) -> None:
        """Run statements through `queries`, none yet; `bad` are the parts that it could not read."""
        self._queries, self._bad = queries, bad or BadParts()

    # Databases

    def databases(self, pattern: str) -> list[str]:
        """Return the names of databases that match a regular expression."""
        return self._lines("SELECT name FROM system.databases WHERE match(name, {pattern:String})", pattern=pattern)

    def create_database(self, name: str, engine: str = "") -> None:
        """Create a database if it does not exist."""
        kind = f" ENGINE = {engine}" if engine else ""
        self._queries.execute(f"CREATE DATABASE IF NOT EXISTS {quote_identifier(name)}{kind}")

    def drop_database(self, name: str) -> None:
        """Drop a database if it exists, and wait until its files are gone."""
        self._queries.execute(f"DROP DATABASE IF EXISTS {quote_identifier(name)} SYNC")

    # Which tables exist

    def tables(self, database: str) -> dict[str, str]:
        """Return the tables and views of a database: name → engine."""
        sql = "SELECT name, engine FROM system.tables WHERE database = {database:String}"
        return dict(self._rows(sql, database=database))

    def exists(self, table: str) -> bool:
        """Return whether a table exists."""
        return self._queries.execute(f"EXISTS TABLE {table}", output="TSVRaw").body.strip() == b"1"

    def has_parts(self, table: str) -> bool:
        """Return whether a table is of the MergeTree family: its rows are in parts, which tables can share."""
        database, name = split_table(table)
        sql = "SELECT engine LIKE '%MergeTree' FROM system.tables WHERE database = {d:String} AND name = {t:String}"
        return self._lines(sql, d=database, t=name) == ["1"]

    def identity(self, table: str) -> str:
        """Return a table's UUID, which survives renaming; '' if it does not exist."""
        database, name = split_table(table)
        sql = "SELECT uuid FROM system.tables WHERE database = {d:String} AND name = {t:String}"
        return "".join(self._lines(sql, d=database, t=name))

    def views_of(self, tables: Iterable[str]) -> set[str]:
        """Return the names of the materialized views that read any of these tables, which share a database."""
        names = [split_table(table) for table in tables]
        sql = (
            "SELECT arrayJoin(dependencies_table) FROM system.tables "
            "WHERE database = {d:String} AND name IN {tables:Array(String)}"
        )
        return set(self._lines(sql, d=names[0][0], tables=[name for _, name in names])) if names else set()

    # Sizes

    def extents(self, database: str) -> dict[str, Extent]:
        """Return the size of each table of a database, by name, leaving out tables without parts."""
        sql = (
            "SELECT table, sum(rows), sum(bytes_on_disk), count() FROM system.parts "
            "WHERE active AND database = {d:String} GROUP BY table"
        )
        return {table: Extent(int(rows), int(size), int(n)) for table, rows, size, n in self._rows(sql, d=database)}

    def count(self, table: str) -> int:
        """Return the number of rows in a table."""
        return int(self._lines(f"SELECT count() FROM {table}")[0])

    def has_values(self, table: str, column: str) -> bool:
        """Return whether a column, which may be NULL, has a value in any row."""
        return bool(self._lines(f"SELECT 1 FROM {table} WHERE isNotNull({quote_identifier(column)}) LIMIT 1"))

    def extent(self, table: str) -> Extent:
        """Return a table's size; rows are counted with any engine."""
        database, name = split_table(table)
        sql = (
            "SELECT sum(bytes_on_disk), count() FROM system.parts "
            "WHERE active AND database = {d:String} AND table = {t:String}"
        )
        ((size, parts),) = self._rows(sql, d=database, t=name)
        return Extent(self.count(table), int(size), int(parts))

    def partitions(self, tables: Sequence[str]) -> dict[str, int]:
        """Return the partitions of tables in one database, in order: partition id → rows."""
        names = [split_table(table) for table in tables]
        sql = (
            "SELECT partition_id, sum(rows) FROM system.parts WHERE active AND database = {d:String} "
            "AND table IN {tables:Array(String)} GROUP BY partition_id ORDER BY partition_id"
        )
        found = self._rows(sql, d=names[0][0], tables=[name for _, name in names])
        return {partition: int(rows) for partition, rows in found}

    def most_parts(self, database: str) -> int:
        """Return the largest number of parts in any partition of a database."""
        sql = (
            "SELECT max(parts) FROM (SELECT count() AS parts FROM system.parts "
            "WHERE active AND database = {d:String} GROUP BY table, partition)"
        )
        return int(self._lines(sql, d=database)[0])

    def kept_in_order(self, tables: Sequence[str]) -> set[str]:
        """Return those tables of one database in which the order of inserts decides which value is kept.

        Of several rows with a key, such an engine keeps the last one, say. ClickHouse gives its rows no other order.
        """
        names = [split_table(table) for table in tables]
        sql = (
            "SELECT name FROM system.tables WHERE database = {d:String} AND name IN {tables:Array(String)} AND "
            "(match(engine, '^(Replacing|Collapsing|Coalescing)MergeTree$|^Join$') OR engine = 'AggregatingMergeTree' "
            "AND name IN (SELECT table FROM system.columns WHERE database = {d:String} "
            "AND table IN {tables:Array(String)} AND match(type, {ordered:String})))"
        )
        if not names:
            return set()
        found = self._lines(sql, d=names[0][0], tables=[name for _, name in names], ordered=_ORDERED)
        return {table for table, (_, name) in zip(tables, names, strict=True) if name in found}

    def crowded(self, prefix: str, most: int) -> list[Crowded]:
        """Return the tables with more than `most` partitions, in databases whose names start with `prefix`."""
        sql = (
            "SELECT database, table, uniqExact(partition_id) AS partitions FROM system.parts "
            "WHERE active AND startsWith(database, {prefix:String}) GROUP BY ALL HAVING partitions > {most:UInt64} "
            "ORDER BY ALL"
        )
        found = self._rows(sql, prefix=prefix, most=most)
        return [Crowded(f"{quote_identifier(d)}.{quote_identifier(t)}", int(count)) for d, t, count in found]

    def damaged(self, prefix: str) -> dict[str, int]:
        """Return how many damaged parts ClickHouse set aside, or could not read, by table (`database.table`)."""
        sql = (
            "SELECT concat(database, '.', table), count() FROM system.detached_parts "
            "WHERE reason LIKE '%broken%' AND startsWith(database, {prefix:String}) GROUP BY ALL ORDER BY ALL"
        )
        aside = {table: int(count) for table, count in self._rows(sql, prefix=prefix)}
        return dict(self._bad.of(prefix) + Counter(aside))

    def columns_in_all_parts(self, table: str) -> set[str]:
        """Return the columns that every part of a table contains; others have only their default in some rows."""
        database, name = split_table(table)
        sql = (
            "SELECT column FROM system.parts_columns WHERE active AND database = {d:String} AND table = {t:String} "
            "GROUP BY column HAVING count() = "
            "(SELECT count() FROM system.parts WHERE active AND database = {d:String} AND table = {t:String})"
        )
        return set(self._lines(sql, d=database, t=name))

    # Progress of statements

    def rows_read(self, tag: str) -> tuple[int, int]:
        """Return the rows read so far, and the estimated total, of statements whose `log_comment` is `tag`."""
        sql = (
            "SELECT sum(read_rows), sum(total_rows_approx) FROM system.processes "
            "WHERE Settings['log_comment'] = {tag:String}"
        )
        ((read, total),) = self._rows(sql, tag=tag)
        return int(read), int(total)

    def parts_to_alter(self, table: str) -> int:
        """Return how many parts a table's unfinished ALTERs still have to rewrite."""
        database, name = split_table(table)
        sql = (
            "SELECT sum(parts_to_do) FROM system.mutations "
            "WHERE database = {d:String} AND table = {t:String} AND NOT is_done"
        )
        return int(self._lines(sql, d=database, t=name)[0])

    # Creating, filling and dropping tables

    def create_like(self, new: str, table: str, clauses: str = "") -> None:
        """Create an empty table like another; `clauses` (` ENGINE = …`) say what differs."""
        self._queries.execute(f"CREATE TABLE {new} AS {table}{clauses}")

    def create_plain(self, new: str, columns: Sequence[ResultColumn]) -> None:
        """Create an empty table for rows with these columns, in the order in which they come."""
        listed = ", ".join(f"{quote_identifier(column.name)} {column.type}" for column in columns)
        self._queries.execute(f"CREATE TABLE {new} ({listed}) ENGINE = MergeTree ORDER BY tuple()")

    def snapshot(self, new: str, table: str) -> None:
        """Create a table with another's current rows, sharing its files if possible, copying otherwise."""
        self.create_like(new, table)
        self.fill(new, table)

    def share(self, into: str, table: str, partition: str | None = None) -> None:
        """Share the files of `table`, one partition or all, with a table of the same structure, past its views."""
        which = "ALL" if partition is None else f"ID {quote_literal(partition)}"
        self._queries.execute(f"ALTER TABLE {into} ATTACH PARTITION {which} FROM {table}")

    def fill(self, into: str, table: str) -> None:
        """Fill an empty table from one of the same structure, sharing its files if possible, copying otherwise."""
        if self.has_parts(table):
            self.share(into, table)
        else:
            self._queries.execute(f"INSERT INTO {into} SELECT * FROM {table}")

    def swap(self, table: str, other: str) -> None:
        """Swap the names of two tables atomically."""
        self._queries.execute(f"EXCHANGE TABLES {table} AND {other}")

    def truncate(self, table: str) -> None:
        """Delete all rows of a table."""
        self._queries.execute(f"TRUNCATE TABLE {table}")

    def end_deletions(self, table: str = "", *, prefix: str = "") -> None:
        """End the unfinished deletions (`ALTER TABLE … DELETE`) of a table, or of databases that start with `prefix`.

        Parts from which they have deleted stay as they are; the others keep their rows.
        """
        database, name = split_table(table) if table else ("", "")
        where = "database = {d:String} AND table = {t:String}" if table else "startsWith(database, {d:String})"
        sql = f"KILL MUTATION WHERE NOT is_done AND match(command, '^\\\\(?DELETE WHERE') AND {where}"
        self._queries.execute(sql, _params({"d": database or prefix, "t": name}), output="Null")

    def drop(self, tables: Iterable[str]) -> None:
        """Drop tables or views, one after the other; missing ones are fine."""
        for table in tables:
            self._queries.execute(f"DROP TABLE IF EXISTS {table}")

    def _rows(self, sql: str, **params: str | int | list[str]) -> list[list[Any]]:
        return json.loads(self._queries.execute(sql, _params(params), output="JSONCompact").body)["data"]  # type: ignore[no-any-return]

    def _lines(self, sql: str, **params: str | int | list[str]) -> list[str]:
        """Return the values of a one-column result."""
        return [row[0] if isinstance(row[0], str) else str(row[0]) for row in self._rows(sql, **params)]


def _params(params: Mapping[str, str | int | list[str]]) -> Params:
    return dict(params)
