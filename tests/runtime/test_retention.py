from __future__ import annotations

import time

from clickpipe.catalog import Catalog
from clickpipe.config import Settings
from clickpipe.ingest import Lines
from clickpipe.runtime import Instance, Workspace
from clickpipe.runtime.retention import Retention

EVENTS = {"events.datasource": "SCHEMA >\n    id UInt8\nENGINE_SORTING_KEY id\n"}


def age(catalog: Catalog, table: str, column: str) -> None:
    catalog.run(f"UPDATE {table} SET {column} = '2020-01-01 00:00:00.000000'")


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
    assert workspace.deployed_at() == "2020-01-01 00:00:00.000000"
    workspace.deploy(EVENTS, allow_destructive=True)  # numbers go on


def test_rows_leave_the_quarantine_when_the_setting_says_so(instance: Instance, workspace: Workspace) -> None:
    workspace.deploy(EVENTS)
    workspace.submit("events", Lines.of([b'{"id":"many"}'])).result()
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
    for _ in range(100):  # ClickHouse removes them in the background
        if workspace.sql(sql) == [{"n": 1}]:
            return
        time.sleep(0.05)
    assert workspace.sql(sql) == [{"n": 1}]
