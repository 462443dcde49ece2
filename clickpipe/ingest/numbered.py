"""Staged rows by their numbers, so that some of them can be named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from clickpipe.engine import Engine, Params
from clickpipe.ingest.mapping import RowMapping
from clickpipe.ingest.writes import ONE_THREAD


@contextmanager
def prepared(
    engine: Engine, mapping: RowMapping, rows: str, params: Params | None = None
) -> Iterator[tuple[Callable[[int, int], str], list[int]]]:
    """Give the numbers of those of `rows` that fit, in order, and what gives the insert of some: places in that list.

    `rows` is SQL of a table with numbered rows. Their values lie in a table: so what is looked at often is not worked
    out each time.
    """
    prepared = f"{mapping.table[:-1]}_prepared`"
    drop = f"DROP TABLE IF EXISTS {prepared}"
    into, _, select = mapping.good_of(rows).partition(") SELECT\n")
    engine.execute(drop)
    try:
        engine.execute(f"CREATE TABLE {prepared} ENGINE = Memory EMPTY AS SELECT __row, {select}", params)
        filled = f"INSERT INTO {prepared} SELECT __row, {select}"
        engine.execute(filled, params, output="Null", settings=ONE_THREAD)
        body = engine.execute(f"SELECT __row FROM {prepared} ORDER BY __row", output="TSV").body
        numbers = [int(number) for number in body.split()]

        def some(first: int, end: int) -> str:
            low, high = (numbers[first], numbers[end - 1]) if first < end else (1, 0)
            return f"{into}) SELECT * EXCEPT __row FROM {prepared} WHERE __row >= {low} AND __row <= {high}"

        yield some, numbers
    finally:
        engine.execute(drop)


@contextmanager
def numbered_rows(engine: Engine, mapping: RowMapping) -> Iterator[tuple[str, int]]:
    """Give a copy of what is staged with the numbers of the rows, in the order of their lines, and how many there are.

    The same lines have the same numbers whenever they are staged.
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
