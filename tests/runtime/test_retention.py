from __future__ import annotations

import time
from collections.abc import Callable

from clickpipe.catalog import Catalog, service_tables
from clickpipe.config import Settings
from clickpipe.ingest import Lines
from clickpipe.runtime import Instance, Workspace
from clickpipe.runtime.retention import Retention

EVENTS = {"events.datasource": "SCHEMA >\n    id UInt8\nENGINE_SORTING_KEY id\n"}


def age(catalog: Catalog, table: str, column: str) -> None:
    catalog.run(f"UPDATE {table} SET {column} = '2020-01-01 00:00:00.000000'")


def until(is_so: Callable[[], bool]) -> None:
    """ClickHouse removes rows in the background."""
    for _ in range(600):
        if is_so():
            return
        time.sleep(0.05)
    assert is_so()


def test_jobs_that_ended_and_deployments_that_are_gone_are_forgotten(instance: Instance, workspace: Workspace) -> None:
    catalog = instance.catalog
    for extra in ("a", "b", "c"):
        workspace.deploy({**EVENTS, f"{extra}.datasource": EVENTS["events.datasource"]}, allow_destructive=True)
    ended, running = (catalog.jobs.create(workspace.id, "copy", name) for name in "ab")
    catalog.jobs.update(ended.id, "done")
    before = len(catalog.deployments(workspace.id))
    catalog.forget(30)
    assert (len(catalog.jobs.newest(workspace.id)), len(catalog.deployments(workspace.id))) == (2, before)
    age(catalog, "jobs", "updated_at")
    age(catalog, "deployments", "created_at")
    catalog.forget(30)
    assert [job.id for job in catalog.jobs.newest(workspace.id)] == [running.id]
    left = catalog.deployments(workspace.id)
    assert len(left) < before
    assert [d.live for d in left][-1]
    assert workspace.deployments.deployed_at() == "2020-01-01 00:00:00.000000"
    workspace.deploy(EVENTS, allow_destructive=True)  # numbers go on


def test_rows_leave_the_quarantine_when_the_setting_says_so(instance: Instance, workspace: Workspace) -> None:
    workspace.deploy(EVENTS)
    workspace.data.submit("events", Lines.of([b'{"id":"many"}'])).result()
    live = workspace.queries.live()
    sql = "SELECT count() AS n FROM events_quarantine"
    for days, left in ((0, 1), (1, 1)):
        Retention(instance.catalog, Settings(quarantine_days=days)).apply(instance.engine, [live])
        assert workspace.sql(sql) == [{"n": left}]
    table = live.physical.tables["events_quarantine"]
    older = f"SELECT * REPLACE (now() - INTERVAL 2 DAY AS insertion_date) FROM {table}"
    instance.engine.execute(f"INSERT INTO {table} {older}")
    assert workspace.sql(sql) == [{"n": 2}]
    instance.engine.execute(f"OPTIMIZE TABLE {table} FINAL")
    retention = Retention(instance.catalog, Settings(quarantine_days=1))
    retention.apply(instance.engine, [live])
    until(lambda: workspace.sql(sql) == [{"n": 1}])


def test_a_quarantine_that_is_missing_keeps_no_other_from_being_cleared(
    instance: Instance, workspace: Workspace
) -> None:
    workspace.deploy({f"{name}.datasource": EVENTS["events.datasource"] for name in ("a", "b", "c")})
    workspace.data.submit("c", Lines.of([b'{"id":"many"}'])).result()
    live = workspace.queries.live()
    a, c = (live.physical.tables[f"{name}_quarantine"] for name in "ac")
    instance.engine.execute(f"DROP TABLE {a} SYNC")
    instance.engine.execute(
        f"INSERT INTO {c} SELECT * REPLACE (now() - INTERVAL 2 DAY AS insertion_date) FROM {c}",
    )
    Retention(instance.catalog, Settings(quarantine_days=1)).apply(instance.engine, [live])
    instance.engine.execute(f"OPTIMIZE TABLE {c} FINAL")
    until(lambda: workspace.sql("SELECT count() AS n FROM c_quarantine") == [{"n": 1}])


def test_rows_of_the_operations_logs_go_after_30_days(instance: Instance, workspace: Workspace) -> None:
    """In each service data source that has a table; the merge that removes them is forced here."""
    instance.service_log.prepare(workspace.database)
    tables = service_tables(workspace.database)
    assert tables
    left = {}
    for name, table in tables.items():
        keys = f"SELECT sorting_key FROM system.tables WHERE concat('`', database, '`.`', name, '`') = '{table}'"
        moment = instance.engine.execute(keys, output="TSVRaw").body.decode().split(",")[0].strip("() \n")
        for days in (29, 31, 400, 0):
            sql = f"INSERT INTO {table} ({moment}) SELECT now() - INTERVAL {days} DAY"
            instance.engine.execute(sql)
        instance.engine.execute(f"OPTIMIZE TABLE {table} FINAL")
        old = f"SELECT count(), countIf(toDateTime({moment}) < now() - INTERVAL 30 DAY) FROM {table}"
        left[name] = instance.engine.execute(old, output="TSV").body
    assert left == dict.fromkeys(tables, b"2\t0\n")
