"""A data source with a view behind it, and ingesters of their own: the instance's would take what waits at once."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clickpipe.ingest import Ingester, WriteAheadLog
from clickpipe.runtime import Instance, Workspace
from tests.ingest.hostile import TYPES

FILES = {
    "events.datasource": "SCHEMA >\n    id String `json:$.id`,\n    n Int32 `json:$.n`\n\nENGINE_SORTING_KEY id\n",
    "sums.datasource": "SCHEMA >\n    id String,\n    n SimpleAggregateFunction(sum, Int64)\n"
    "ENGINE AggregatingMergeTree\nENGINE_SORTING_KEY id\n",
    "sums_mv.pipe": "NODE n\nSQL >\n    SELECT id, sum(e.n) AS n FROM events AS e\n"
    "    WHERE throwIf(e.n > 100) = 0 GROUP BY id\nTYPE materialized\nDATASOURCE sums\n",
}
GOOD, BAD, REFUSED = b'{"id":"a","n":1}', b'{"id":"a","n":"many"}', b'{"id":"a","n":101}'
ASKED = b'{"id":"a","n":1.0}'  # it fits too, as ClickHouse tells

ONE, TWO = ("00000000-0000-4000-8000-00000000000" + n for n in "12")  # import ids

MakeIngester = Callable[..., Ingester]


@pytest.fixture
def deployed(workspace: Workspace) -> Workspace:
    workspace.deploy(FILES)
    return workspace


@pytest.fixture
def log(tmp_path: Path) -> WriteAheadLog:
    return WriteAheadLog(tmp_path)


@pytest.fixture
def make_ingester(instance: Instance, deployed: Workspace, log: WriteAheadLog) -> Iterator[MakeIngester]:
    made: list[Ingester] = []
    assert instance.registry.live(deployed.id) is deployed.live

    def make(**limits: Any) -> Ingester:
        made.append(Ingester(instance.engine, log, instance.catalog.positions, instance.registry, **limits))
        return made[-1]

    yield make
    for ingester in made:
        ingester.close()


@pytest.fixture
def taker(make_ingester: MakeIngester) -> Ingester:
    return make_ingester()


def counts(workspace: Workspace) -> tuple[int, int, int]:
    """Rows in the data source, its quarantine, and what the view has summed up."""
    sql = (
        "SELECT (SELECT count() FROM events) AS a, (SELECT count() FROM events_quarantine) AS b, sum(n) AS c FROM sums"
    )
    row: dict[str, Any] = workspace.sql(sql)[0]
    return row["a"], row["b"], row["c"]


@pytest.fixture(scope="session")
def columns(instance: Instance) -> Iterator[Workspace]:
    """A data source for each type, named t0, t1 …"""
    workspace = instance.workspaces.create(f"test_{uuid.uuid4().hex}")
    schema = "SCHEMA >\n    id UInt32 `json:$.id`,\n    v {} `json:$.v`\n\nENGINE_SORTING_KEY id\n"
    workspace.deploy({f"t{n}.datasource": schema.format(type_) for n, type_ in enumerate(TYPES)})
    yield workspace
    instance.workspaces.delete(workspace)
