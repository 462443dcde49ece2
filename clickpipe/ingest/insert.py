"""Staged rows into a data source, with every view behind, and its quarantine: all of an insert, or nothing of it.

Rows that a view or the table refuses are found and go to quarantine with the reason; all others are written.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from clickpipe.engine import Engine, EngineError, Params, Settings
from clickpipe.ingest.judge import Failure, is_passing
from clickpipe.ingest.mapping import IN_ONE_BLOCK, RowMapping
from clickpipe.ingest.narrow import Narrowed, Refused, narrow
from clickpipe.ingest.probe import Probe

_LOGGER = logging.getLogger(__name__)
_AGAIN_AFTER = (0.1, 0.5, 2.0)  # seconds: a passing error is waited for here, and longer by who asked
# A segment is one block, whatever its size and whatever blocks it was staged in: the parts of a block that is inserted
# again have the same tokens. Several staged blocks take an ORDER BY too (`IN_ONE_BLOCK`), and one thread: merging what
# several read, ClickHouse hands on blocks that need no merging as they are. One thread stages, too, so that rows keep
# their order.
ONE_BLOCK: Settings = {
    "min_insert_block_size_rows": 1 << 40,
    "min_insert_block_size_bytes": 1 << 50,
    "max_block_size": 1 << 30,
    "max_threads": 1,
    "max_insert_threads": 1,
}
AT_ONCE = 3  # looks at rows that are refused
ONE_THREAD: Settings = {key: value for key, value in ONE_BLOCK.items() if key != "max_block_size"}


@dataclass(frozen=True, slots=True)
class StagedRows:
    """Rows that are staged by a mapping: how many fit and do not, and the token of their insert.

    `probe` gives the copy of table and views that tells who refuses them; `ahead`: they are sent through it first.
    `one_block`: they were staged by one statement, and need no sorting to be inserted as one block.
    """

    mapping: RowMapping
    good: int
    bad: int
    token: str
    probe: Callable[[], Probe]
    ahead: bool
    one_block: bool = False


@dataclass(frozen=True, slots=True)
class Inserted:
    """What became of staged rows: by import id, how many were refused, and why one of them was."""

    refused: dict[str, tuple[int, str]] = field(default_factory=dict)

    def __add__(self, other: Inserted) -> Inserted:
        """Return both together."""
        found = dict(self.refused)
        for name, (count, why) in other.refused.items():
            found[name] = (count + found.get(name, (0, ""))[0], why)
        return Inserted(found)

    @property
    def rows(self) -> int:
        """Return how many rows were refused."""
        return sum(count for count, _ in self.refused.values())


Relieve = Callable[[EngineError], bool]


def never(_error: EngineError) -> bool:
    """Have nothing removed that makes an insert fail."""
    return False


def insert_staged(
    engine: Engine,
    rows: StagedRows,
    *,
    known: Narrowed | None = None,
    keep: Callable[[Narrowed], None] = lambda _: None,
    relieve: Relieve = never,
) -> Inserted:
    """Write staged rows; with the same token again, it is done once.

    `keep` is told which rows are refused before any row is written; after a stop, `known` is what it was told.
    `relieve` is asked whether it has removed what made an insert fail: see `Deploying.relieve`. Raises EngineError and
    OSError: then nothing may be told of the rows, and the same is to be asked again.
    """
    order = "" if rows.one_block else IN_ONE_BLOCK
    if rows.good:
        if known is None and rows.ahead and (error := _probed(engine, rows, rows.mapping.good_of(rows.mapping.table))):
            known = _narrowed(engine, rows, error)
            keep(known)
        if known is None:
            try:
                _write(engine, rows.mapping.good + order, rows.token, relieve)
            except EngineError as error:
                if rows.ahead:  # the table may have them all now: that they are taken is not asked again
                    keep(Narrowed(()))
                    raise
                if is_passing(error):
                    raise
                known = _narrowed(engine, rows, error)
                keep(known)
    found = _write_rest(engine, rows, known, relieve) if known is not None else Inserted()
    if rows.bad:
        _write(engine, rows.mapping.bad + order, rows.token, relieve)
    return found


def _write(engine: Engine, statement: str, token: str, relieve: Relieve, params: Params | None = None) -> None:
    """Run an insert; once more, with the same token, where what refused it does not belong to the live deployment."""
    settings: Settings = {**ONE_BLOCK, "insert_deduplicate": 1, "insert_deduplication_token": token}
    try:
        execute_patiently(engine, statement, settings, params)
    except EngineError as error:
        if not relieve(error):
            raise
        execute_patiently(engine, statement, settings, params)


def execute_patiently(engine: Engine, statement: str, settings: Settings, params: Params | None = None) -> None:
    """Run a statement that may be run twice; several times where it fails for what passes. Raises EngineError."""
    patiently(lambda: engine.execute(statement, params, output="Null", settings=settings))


def patiently(run: Callable[[], object]) -> None:
    """Do what may be done twice; several times where it fails for what passes. Raises EngineError."""
    for wait in (*_AGAIN_AFTER, None):
        try:
            run()
        except EngineError as error:
            if wait is None or not is_passing(error):
                raise
            _LOGGER.warning("an insert is tried again: %s", error.message)
            time.sleep(wait)
        else:
            return


def retarget(statement: str, table: str) -> str:
    """Return an insert that names its columns as one into another table."""
    return f"INSERT INTO {table} {statement[statement.index('(') :]}"


def _probed(engine: Engine, rows: StagedRows, statement: str, params: Params | None = None) -> EngineError | None:
    """Return by which error views and table refuse the rows of an insert. Raises EngineError for one that passes."""
    try:
        execute_patiently(engine, retarget(statement, rows.probe().table), ONE_BLOCK, params)
    except EngineError as error:
        if is_passing(error):
            raise
        return error
    return None


def _narrowed(engine: Engine, rows: StagedRows, error: EngineError) -> Narrowed:
    """Find the rows for which an insert is refused. Raises the error when no row is to blame."""
    mapping, probe = rows.mapping, rows.probe()
    with _numbered(engine, mapping) as (table, count), _prepared(engine, mapping, table) as (looked_at, numbers):

        def look(first: int, end: int) -> tuple[str, str] | None:
            found = _probed(engine, rows, looked_at(first, end))
            return probe.refused_by(found) if found is not None else None

        found, free = narrow(look, len(numbers), AT_ONCE)
        refused = [replace(one, row=numbers[one.row]) for one in found]
        taken = [(numbers[first], numbers[end - 1] + 1) for first, end in free]
        none_taken = look(0, 0) is not None  # whatever this is, it is not about rows
        if none_taken or (not refused and len(taken) < 2):  # noqa: PLR2004 - or what was refused is taken now
            raise error
        pieces = tuple(taken)
        if refused:
            rest, params = _without(table, refused)
            if _probed(engine, rows, mapping.good_of(rest), params) is None:
                pieces = ()
    where, why = probe.refused_by(error)
    _LOGGER.warning("%d of %d rows are refused by %s, and go to quarantine: %s", len(refused), count, where, why)
    return Narrowed(tuple(refused), pieces)


def _write_rest(engine: Engine, rows: StagedRows, known: Narrowed, relieve: Relieve) -> Inserted:
    """Write the rows that are not refused, and those that are to quarantine."""
    mapping = rows.mapping
    with _numbered(engine, mapping) as (table, _count):
        if known.pieces:
            for first, end in known.pieces:
                some = f"(SELECT * FROM {table} WHERE __row >= {first} AND __row < {end})"
                _write(engine, mapping.good_of(some) + IN_ONE_BLOCK, f"{rows.token}/{first}-{end}", relieve)
        else:
            rest, params = _without(table, known.refused)
            _write(engine, mapping.good_of(rest) + IN_ONE_BLOCK, rows.token, relieve, params)
        if not known.refused:
            return Inserted()
        params = _lists(known.refused)
        there = (
            "(SELECT *, arrayElement({where:Array(String)}, __at) AS __where, "
            "arrayElement({why:Array(String)}, __at) AS __why "
            f"FROM (SELECT *, indexOf({{rows:Array(UInt64)}}, __row) AS __at FROM {table}) "
            "WHERE __at > 0)"
        )
        _write(engine, mapping.refused_of(there) + IN_ONE_BLOCK, f"{rows.token}/refused", relieve, params)
        sql = f"SELECT __import_id, count(), any(__why) FROM {there} GROUP BY __import_id"
        body = engine.execute(sql, params, output="JSONCompact").body
    return Inserted({name: (int(count), why) for name, count, why in json.loads(body)["data"]})


def _without(table: str, refused: tuple[Refused, ...] | list[Refused]) -> tuple[str, Params]:
    params: Params = {"rows": [one.row for one in refused]}
    return f"(SELECT * FROM {table} WHERE __row NOT IN {{rows:Array(UInt64)}})", params


def _lists(refused: tuple[Refused, ...]) -> dict[str, Any]:
    return {
        "rows": [one.row for one in refused],
        "where": [one.where for one in refused],
        "why": [f"{one.where} refuses the row: {one.why}" for one in refused],
    }


@contextmanager
def _prepared(engine: Engine, mapping: RowMapping, table: str) -> Iterator[tuple[Callable[[int, int], str], list[int]]]:
    """Give the numbers of the rows that fit, in order, and what gives the insert of some of them: places in that list.

    Their values lie in a table: so what is looked at often is not worked out each time.
    """
    prepared = f"{mapping.table[:-1]}_prepared`"
    drop = f"DROP TABLE IF EXISTS {prepared}"
    into, _, select = mapping.good_of(table).partition(") SELECT\n")
    engine.execute(drop)
    try:
        engine.execute(f"CREATE TABLE {prepared} ENGINE = Memory EMPTY AS SELECT __row, {select}")
        engine.execute(f"INSERT INTO {prepared} SELECT __row, {select}", output="Null", settings=ONE_THREAD)
        body = engine.execute(f"SELECT __row FROM {prepared} ORDER BY __row", output="TSV").body
        numbers = [int(number) for number in body.split()]

        def some(first: int, end: int) -> str:
            low, high = (numbers[first], numbers[end - 1]) if first < end else (1, 0)
            return f"{into}) SELECT * EXCEPT __row FROM {prepared} WHERE __row >= {low} AND __row <= {high}"

        yield some, numbers
    finally:
        engine.execute(drop)


@contextmanager
def _numbered(engine: Engine, mapping: RowMapping) -> Iterator[tuple[str, int]]:
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


__all__ = [
    "ONE_BLOCK",
    "ONE_THREAD",
    "Failure",
    "Inserted",
    "StagedRows",
    "execute_patiently",
    "insert_staged",
    "patiently",
]
