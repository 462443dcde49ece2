"""A view's target made anew: while rows are written, for readers at once, and whole or not at all."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine
from clickpipe.jobs import Population
from clickpipe.runtime import Instance, Workspace

FILES = {
    "events.datasource": "SCHEMA >\n    id UInt64,\n    day Date DEFAULT '2026-01-01'\n"
    'ENGINE_SORTING_KEY id\nENGINE_PARTITION_KEY "day"\n',
    "more.datasource": "SCHEMA >\n    id UInt64\nENGINE_SORTING_KEY id\n",
    "sums.datasource": "SCHEMA >\n    k UInt8,\n    n SimpleAggregateFunction(sum, UInt64)\n"
    "ENGINE AggregatingMergeTree\nENGINE_SORTING_KEY k\n",
    "sums_mv.pipe": "NODE a\nSQL >\n    SELECT toUInt8(1) AS k, count() AS n FROM events GROUP BY k\n"
    "TYPE materialized\nDATASOURCE sums\n",
    "more_mv.pipe": "NODE a\nSQL >\n    SELECT toUInt8(1) AS k, count() AS n FROM more GROUP BY k\n"
    "TYPE materialized\nDATASOURCE sums\n",
}


@pytest.fixture
def deployed(instance: Instance) -> Iterator[Workspace]:
    made = instance.workspaces.create("populated")
    made.deploy(FILES)
    made.ingest("events", [{"id": k, "day": f"2026-01-{1 + k % 20:02}"} for k in range(100)])
    made.ingest("more", [{"id": k} for k in range(10)])
    yield made
    instance.workspaces.delete(made)


def total(workspace: Workspace) -> int:
    found: int = workspace.sql("SELECT sum(n) AS n FROM sums")[0]["n"]
    return found


def tables(engine: Engine, workspace: Workspace) -> set[str]:
    sql = f"SELECT name FROM system.tables WHERE database = '{workspace.database}'"
    return set(engine.execute(sql, output="TSVRaw").body.decode().split())


def test_a_target_is_what_its_sources_have(instance: Instance, deployed: Workspace) -> None:
    before = tables(instance.engine, deployed)
    deployed.data.truncate("sums")
    deployed.data.delete_rows("events", "id < 40")
    assert total(deployed) == 0
    job = deployed.jobs.rebuild("sums_mv")
    instance.jobs.wait(job.id)
    ended = instance.catalog.jobs.get(deployed.id, job.id)
    assert ended is not None
    assert (ended.status, ended.error) == ("done", "")
    assert total(deployed) == 70
    deployed.ingest("events", [{"id": 1000}])
    deployed.ingest("more", [{"id": 1000}])
    assert total(deployed) == 72
    assert tables(instance.engine, deployed) == before


def test_rows_that_arrive_meanwhile_are_in_it_once(instance: Instance, deployed: Workspace) -> None:
    stop, sent, seen = threading.Event(), [0], []

    def write() -> None:
        while not stop.is_set():
            deployed.ingest("events", [{"id": 5000 + sent[0]}])
            sent[0] += 1
            seen.append(total(deployed))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            instance.jobs.wait(deployed.jobs.rebuild("sums_mv").id)
    finally:
        stop.set()
        writer.join()
    assert total(deployed) == 110 + sent[0]
    assert all(111 + number <= found for number, found in enumerate(seen))  # nobody saw an empty one


def test_what_cannot_be_made_leaves_the_one_before(instance: Instance, deployed: Workspace) -> None:
    with pytest.raises(ClickpipeError, match="no materialized view 'sums'") as error:
        deployed.jobs.rebuild("sums")
    assert error.value.status == 404
    before = tables(instance.engine, deployed)
    table = deployed.queries.live().physical.tables["more"]
    instance.engine.execute(f"DETACH TABLE {table}")
    job = deployed.jobs.rebuild("sums_mv")
    instance.jobs.wait(job.id)
    instance.engine.execute(f"ATTACH TABLE {table}")
    ended = instance.catalog.jobs.get(deployed.id, job.id)
    assert ended is not None
    assert ended.status == "error"
    assert total(deployed) == 110
    assert tables(instance.engine, deployed) == before


def test_columns_may_have_any_name(instance: Instance, workspace: Workspace) -> None:
    names = (r"a\nb", 'quote"', "--", "/*", r"\\")
    columns = ",\n".join(f"    `{name}` UInt64" for name in names)
    select = ", ".join("id AS `{}`".format(name.replace("\\", "\\\\")) for name in names)
    files = {
        "events.datasource": "SCHEMA >\n    id UInt64\nENGINE_SORTING_KEY id\n",
        "kept.datasource": f"SCHEMA >\n{columns}\nENGINE_SORTING_KEY tuple()\n",
        "kept_mv.pipe": f"NODE n\nSQL >\n    SELECT {select} FROM events\nTYPE materialized\nDATASOURCE kept\n",
    }
    workspace.deploy(files)
    workspace.ingest("events", [{"id": 1}])
    workspace.data.truncate("kept")
    job = workspace.jobs.rebuild("kept_mv")
    instance.jobs.wait(job.id)
    assert workspace.sql("SELECT * FROM kept") == [dict.fromkeys(names, 1)]


def test_a_view_may_read_a_quarantine(instance: Instance, workspace: Workspace) -> None:
    view = "NODE n\nSQL >\n    SELECT id FROM events_quarantine\nTYPE materialized\nDATASOURCE bad\n"
    files = {
        "events.datasource": "SCHEMA >\n    id String,\n    n UInt8\nENGINE_SORTING_KEY id\n",
        "bad.datasource": "SCHEMA >\n    id String\nENGINE_SORTING_KEY id\n",
        "bad_mv.pipe": view.replace("id", "assumeNotNull(id) AS id"),
    }
    workspace.deploy(files)
    workspace.ingest("events", [{"id": "a", "n": 1}, {"id": "b", "n": "many"}])
    for start in (workspace.jobs.rebuild, lambda view: workspace.jobs.populate(Population(view, truncate=True))):
        job = start("bad_mv")
        instance.jobs.wait(job.id)
        ended = instance.catalog.jobs.get(workspace.id, job.id)
        assert ended is not None
        assert (ended.status, ended.error) == ("done", "")
        assert workspace.sql("SELECT id FROM bad") == [{"id": "b"}]
