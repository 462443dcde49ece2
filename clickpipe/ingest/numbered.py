"""Numbers staged rows, so that individual rows can be addressed."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from clickpipe.engine import ONE_BLOCK, ONE_THREAD, Engine, EngineError, Params, Settings
from clickpipe.ingest.mapping import RowMapping
from clickpipe.ingest.writes import retarget

_FEW = 16  # rows to insert as values: planning an INSERT with a SELECT takes longer
_MOST_BYTES = 8 << 20  # of values to keep
_LOOKED_AT = 20  # tries of few rows after which fetching values pays off
# Values of these may have types of their own, which their text does not show.
_UNTOLD = re.compile(r"\b(?:Variant|Dynamic|JSON|Object|AggregateFunction|Nothing)\b")


class Prepared:
    """Rows that fit, with their values, in a table, in order. Methods may be called from several threads."""

    def __init__(self, engine: Engine, table: str, into: str) -> None:
        """Read `table` (numbers in `__row`, and the columns in `into`, which is the start of an insert)."""
        self._engine, self._table, self._into = engine, table, into
        body = engine.execute(f"SELECT __row FROM {table} ORDER BY __row", output="TSV").body
        self.numbers = [int(number) for number in body.split()]
        self._columns = into[into.index("(") + 1 :]
        self._lock = threading.Lock()
        self._looks = 0
        self._rows: list[str] | None = None

    def insert(self, first: int, end: int, into: str) -> tuple[str, Settings]:
        """Return the statement that inserts a range of rows, by position, into a table. Raises EngineError."""
        if (values := self._values(first, end)) is not None:
            return f"INSERT INTO {into} ({self._columns}) VALUES {values}", {}
        return retarget(self.some(first, end), into), ONE_BLOCK

    def some(self, first: int, end: int) -> str:
        """Return the statement that inserts a range of rows into their own table."""
        low, high = (self.numbers[first], self.numbers[end - 1]) if first < end else (1, 0)
        return f"{self._into}) SELECT * EXCEPT __row FROM {self._table} WHERE __row >= {low} AND __row <= {high}"

    def _values(self, first: int, end: int) -> str | None:
        """Return a few rows as SQL values; None if they have to be selected."""
        if not 0 < end - first <= _FEW:
            return None
        with self._lock:
            self._looks += 1
            if self._looks < _LOOKED_AT:
                return None
            if self._rows is None:
                self._rows = self._fetched()
        return ",".join(self._rows[first:end]) if self._rows else None

    def _fetched(self) -> list[str]:
        """Return all rows as text; [] if that would not represent their values exactly. Raises EngineError."""
        types = json.loads(self._engine.execute(f"DESCRIBE {self._table}", output="JSONCompact").body)["data"]
        size = int(self._engine.execute(f"SELECT sum(byteSize(*)) FROM {self._table}", output="TSV").body)
        if size > _MOST_BYTES or any(_UNTOLD.search(type_) for _, type_, *_ in types):
            return []
        again = f"{self._table[:-1]}_again`"
        try:
            sql = f"SELECT formatRow('Values', {self._columns}) FROM {self._table} ORDER BY __row"
            body = self._engine.execute(sql, output="JSONCompact", settings=ONE_THREAD).body
            rows = [row.rstrip(",\n ") for (row,) in json.loads(body)["data"]]
            self._engine.execute(f"CREATE TABLE {again} AS {self._table}")
            numbered = ",".join(f"({n},{row[1:]}" for n, row in zip(self.numbers, rows, strict=True))
            self._engine.execute(f"INSERT INTO {again} (__row, {self._columns}) VALUES {numbered}", output="Null")
            hashed = "SELECT groupBitXor(sipHash64(*)), count() FROM "
            found = {self._engine.execute(hashed + table, output="TSV").body for table in (again, self._table)}
        except (EngineError, ValueError):  # bytes that are not text, types without a hash
            return []
        finally:
            self._engine.execute(f"DROP TABLE IF EXISTS {again}")
        return rows if len(found) == 1 else []


@contextmanager
def prepared(engine: Engine, mapping: RowMapping, rows: str, params: Params | None = None) -> Iterator[Prepared]:
    """Yield the fitting rows of `rows`, in order; `rows` is SQL that reads as a table with numbered rows.

    Their values are stored in a table, so that they are computed only once.
    """
    prepared = f"{mapping.table[:-1]}_prepared`"
    drop = f"DROP TABLE IF EXISTS {prepared}"
    into, _, select = mapping.good_of(rows).partition(") SELECT\n")
    engine.execute(drop)
    try:
        engine.execute(f"CREATE TABLE {prepared} ENGINE = Memory EMPTY AS SELECT __row, {select}", params)
        filled = f"INSERT INTO {prepared} SELECT __row, {select}"
        engine.execute(filled, params, output="Null", settings=ONE_THREAD)
        yield Prepared(engine, prepared, into)
    finally:
        engine.execute(drop)


@contextmanager
def numbered_rows(engine: Engine, mapping: RowMapping) -> Iterator[tuple[str, int]]:
    """Yield a copy of the staged rows, numbered in the order of their lines, and their count.

    The same lines always get the same numbers.
    """
    table = f"{mapping.table[:-1]}_numbered`"
    drop = f"DROP TABLE IF EXISTS {table}"
    columns = mapping.create[mapping.create.index("(") :].replace(
        ") ENGINE = Memory", ", __row UInt64) ENGINE = Memory"
    )
    engine.execute(drop)
    engine.execute(f"CREATE TABLE {table} {columns}")
    try:
        sql = f"INSERT INTO {table} SELECT *, rowNumberInAllBlocks() FROM {mapping.table}"
        engine.execute(sql, output="Null", settings=ONE_THREAD)
        count = json.loads(engine.execute(f"SELECT count() FROM {table}", output="JSONCompact").body)["data"][0][0]
        yield table, int(count)
    finally:
        engine.execute(drop)
