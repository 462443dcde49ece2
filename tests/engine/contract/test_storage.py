"""What every engine's storage has to do, whichever ClickHouse is behind it."""

from __future__ import annotations

import re
import threading

import pytest

from clickpipe.engine import Engine, EngineError, Extent, Storage, split_table


@pytest.fixture
def storage(engine: Engine) -> Storage:
    return engine.storage


@pytest.fixture
def events(engine: Engine, database: str) -> str:
    """Give a table with three days of ten rows."""
    table = f"`{database}`.`events`"
    engine.execute(
        f"CREATE TABLE {table} (at DateTime, n UInt32, s String DEFAULT 'x') ENGINE = MergeTree "
        "PARTITION BY toYYYYMMDD(at) ORDER BY n"
    )
    engine.execute(
        f"INSERT INTO {table} (at, n) SELECT toDateTime('2026-01-01 00:00:00', 'UTC') + toIntervalDay(number % 3), "
        "number FROM numbers(30)"
    )
    return table


def _values(engine: Engine, table: str, what: str = "count(), sum(n)") -> str:
    return engine.execute(f"SELECT {what} FROM {table}", output="TSV").body.decode().strip()


def test_a_name_is_split_into_database_and_table() -> None:
    assert split_table("`ws_1`.`a.b`") == ("ws_1", "a.b")
    assert split_table("ws_1.a") == ("ws_1", "a")


def test_databases_are_made_listed_and_removed(storage: Storage) -> None:
    for _ in range(2):
        storage.create_database("contract_one")
    storage.create_database("contract_two", "Memory")
    assert storage.databases("^contract_") == ["contract_one", "contract_two"]
    for _ in range(2):
        storage.drop_database("contract_one")
    storage.drop_database("contract_two")
    assert storage.databases("^contract_") == []


def test_tables_are_listed_with_their_engines(engine: Engine, storage: Storage, database: str, events: str) -> None:
    engine.execute(f"CREATE TABLE {database}.log (n UInt8) ENGINE = Log")
    engine.execute(f"CREATE MATERIALIZED VIEW {database}.view TO {database}.log AS SELECT n % 7 AS n FROM {events}")
    assert storage.tables(database) == {"events": "MergeTree", "log": "Log", "view": "MaterializedView"}
    assert storage.tables("contract_absent") == {}
    assert [storage.exists(table) for table in (events, f"`{database}`.`absent`", "`contract_absent`.`t`")] == [
        True,
        False,
        False,
    ]
    assert [storage.has_parts(table) for table in (events, f"`{database}`.`log`", f"`{database}`.`absent`")] == [
        True,
        False,
        False,
    ]
    assert storage.views_of([events, f"`{database}`.`log`"]) == {"view"}
    assert storage.views_of([f"`{database}`.`log`"]) == storage.views_of([]) == set()


def test_what_tables_hold_is_told(engine: Engine, storage: Storage, database: str, events: str) -> None:
    engine.execute(f"CREATE TABLE {database}.log ENGINE = Log AS SELECT 1 AS n FROM numbers(5)")
    held = storage.extents(database)
    assert held.keys() == {"events"}
    assert (held["events"].rows, held["events"].parts) == (30, 3)
    assert held["events"].size > 100
    assert storage.extent(events) == held["events"]
    assert storage.extent(f"`{database}`.`log`") == Extent(5, 0, 0)
    assert storage.count(f"`{database}`.`log`") == 5
    assert storage.partitions([events]) == {"20260101": 10, "20260102": 10, "20260103": 10}
    assert storage.most_parts(database) == 1
    engine.execute(f"INSERT INTO {events} (at, n) SELECT '2026-01-02 01:00:00', 1")
    assert storage.most_parts(database) >= 1
    assert storage.partitions([events])["20260102"] == 11


def test_nothing_is_held_by_an_empty_table(storage: Storage, database: str, events: str) -> None:
    empty = f"`{database}`.`empty`"
    storage.create_like(empty, events)
    assert storage.extent(empty) == Extent()
    assert storage.partitions([empty]) == {}
    assert storage.columns_in_all_parts(empty) == set()
    storage.truncate(events)
    assert storage.extents(database) == {}
    assert storage.most_parts(database) == 0


def test_tables_with_many_partitions_are_found(storage: Storage, database: str, events: str) -> None:
    found = storage.crowded(database, 2)
    assert [(crowd.table, crowd.partitions) for crowd in found] == [(events, 3)]
    assert storage.crowded(database, 3) == []
    assert storage.damaged(database) == {}


def test_columns_that_all_parts_have_are_told(engine: Engine, storage: Storage, events: str) -> None:
    engine.execute(f"ALTER TABLE {events} ADD COLUMN later UInt8")
    assert storage.columns_in_all_parts(events) == {"at", "n", "s"}
    engine.execute(f"INSERT INTO {events} (at, n, later) SELECT '2026-02-01 00:00:00', 1, 2")
    assert storage.columns_in_all_parts(events) == {"at", "n", "s"}


def test_a_snapshot_has_the_rows_of_its_moment(engine: Engine, storage: Storage, database: str, events: str) -> None:
    engine.execute(f"CREATE TABLE {database}.log ENGINE = Log AS SELECT toUInt32(number) AS n FROM numbers(5)")
    for table in (events, f"`{database}`.`log`"):
        kept = f"{table[:-1]}_kept`"
        before = _values(engine, table)
        storage.snapshot(kept, table)
        storage.truncate(table)
        assert (_values(engine, table), _values(engine, kept)) == ("0\t0", before)


def test_files_are_shared_of_all_partitions_or_one(
    engine: Engine, storage: Storage, database: str, events: str
) -> None:
    whole, one = f"`{database}`.`whole`", f"`{database}`.`one`"
    storage.create_like(whole, events)
    storage.create_like(one, events)
    storage.share(whole, events)
    storage.share(one, events, "20260102")
    assert _values(engine, whole) == _values(engine, events)
    assert _values(engine, one) == "10\t145"
    engine.execute(f"ALTER TABLE {whole} DELETE WHERE n > 5", settings={"mutations_sync": 1})
    assert (_values(engine, whole), _values(engine, events)) == ("6\t15", "30\t435")


def test_views_take_shared_files_for_no_rows(engine: Engine, storage: Storage, database: str, events: str) -> None:
    into = f"`{database}`.`into`"
    storage.create_like(into, events)
    engine.execute(f"CREATE TABLE {database}.seen (n UInt32) ENGINE = MergeTree ORDER BY n")
    engine.execute(f"CREATE MATERIALIZED VIEW {database}.view TO {database}.seen AS SELECT n FROM {into}")
    storage.fill(into, events)
    assert storage.count(into) == 30
    assert storage.count(f"`{database}`.`seen`") == 0


def test_tables_change_names_and_keep_their_identity(storage: Storage, database: str, events: str) -> None:
    other = f"`{database}`.`other`"
    storage.create_like(other, events, " ENGINE = MergeTree ORDER BY at")
    first, second = storage.identity(events), storage.identity(other)
    assert first != second
    storage.swap(events, other)
    assert (storage.identity(events), storage.identity(other)) == (second, first)
    assert [storage.count(table) for table in (events, other)] == [0, 30]
    assert storage.identity(f"`{database}`.`absent`") == ""
    storage.drop([events, other, events])
    assert storage.tables(database) == {}


def test_a_running_statement_tells_how_much_it_has_read(engine: Engine, storage: Storage) -> None:
    tag = "contract-running"
    assert storage.rows_read(tag) == (0, 0)
    slow = engine.submit(
        "SELECT sleepEachRow(0.01) FROM numbers(1000)", settings={"log_comment": tag, "max_block_size": 1}
    )
    told, done = (0, 0), threading.Event()
    while not slow.done() and told[0] == 0:
        told = storage.rows_read(tag)
        done.wait(0.02)
    engine.cancel(tag)
    with pytest.raises(EngineError, match=r"cancelled"):
        slow.result()
    assert 0 < told[0] <= told[1] == 1000


def test_an_alter_tells_what_it_has_left(engine: Engine, storage: Storage, events: str) -> None:
    assert storage.parts_to_alter(events) == 0
    engine.execute(f"SYSTEM STOP MERGES {events}")
    engine.execute(f"ALTER TABLE {events} UPDATE s = 'y' WHERE 1", settings={"mutations_sync": 0})
    assert storage.parts_to_alter(events) == 3
    engine.execute(f"SYSTEM START MERGES {events}")


@pytest.mark.parametrize("name", ["swap", "share", "fill", "create_like", "snapshot"])
def test_what_is_not_there_is_an_error_of_the_engine(storage: Storage, database: str, name: str) -> None:
    with pytest.raises(EngineError, match=re.compile("does not exist|doesn't exist|Could not find table")):
        getattr(storage, name)(f"`{database}`.`new`", f"`{database}`.`absent`")
    with pytest.raises(EngineError):
        storage.truncate(f"`{database}`.`absent`")
