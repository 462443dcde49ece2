"""A replay of a quarantine that is cut off at any statement: each row ends up in the table and its views, or stays."""

from __future__ import annotations

import pytest

from clickpipe.engine import EngineError
from clickpipe.ingest import replay
from clickpipe.runtime import Instance, Workspace
from tests.ingest.dying import Dying, forget_memory
from tests.ingest.test_uncertain_views import CHAIN, VIEW, ids

ROWS = 12
SOURCE = "SCHEMA >\n    id UInt64 `json:$.id`,\n    n UInt8 `json:$.n`\nENGINE_SORTING_KEY id\n"
PLAIN = {
    **CHAIN,
    "events.datasource": SOURCE,
    "second_mv.pipe": VIEW.format("SELECT id FROM firsts WHERE throwIf(id % 4 = 1) = 0", "seconds"),
}
RANDOM = {
    **PLAIN,
    "second_mv.pipe": VIEW.format("SELECT id FROM firsts WHERE throwIf(rand(id) % 4 = 1) = 0", "seconds"),
}


def stored(workspace: Workspace) -> list[int]:
    left = [int(row["id"]) for row in workspace.sql("SELECT id FROM events_quarantine")]
    there = ids(workspace, "events")
    assert there == ids(workspace, "firsts") == ids(workspace, "seconds")
    assert workspace.sql("SELECT sum(n) AS n FROM sums") == [{"n": len(there)}]
    return sorted([*there, *left])


def put(workspace: Workspace, instance: Instance, first: int, rows: int) -> None:
    """Put rows into quarantine: the first of them does not fit."""
    assert workspace.live is not None
    quarantine = workspace.live.physical.tables["events_quarantine"]
    instance.engine.execute(
        f"INSERT INTO {quarantine} SELECT toString(number), if(number = {first}, '-1', '7'), ['n'], ['no'], '', now() "
        f"FROM numbers({first}, {rows})",
        settings={"max_threads": 1},
    )


@pytest.mark.parametrize(
    "files",
    [pytest.param(PLAIN, id="certain views"), pytest.param(RANDOM, id="uncertain views", marks=pytest.mark.slow)],
)
def test_each_row_is_in_one_place(workspace: Workspace, instance: Instance, files: dict[str, str]) -> None:
    workspace.deploy(files)
    live = workspace.live
    assert live is not None
    source = live.compiled.data_sources["events"]
    step, ended = 0, False
    while not ended:
        for table in ("events", "firsts", "seconds", "sums"):
            workspace.data.truncate(table)
        put(workspace, instance, 1_000 * step, ROWS)
        try:
            replay(Dying(instance.engine, step), live, source, workspace.id)
            ended = True
        except EngineError:
            forget_memory(instance.engine)
        put(workspace, instance, 1_000 * step + 500, 2)  # by an event since
        replay(instance.engine, live, source, workspace.id)
        expected = [*range(1_000 * step, 1_000 * step + ROWS), 1_000 * step + 500, 1_000 * step + 501]
        assert stored(workspace) == expected, step
        left = {row["id"] for row in workspace.sql("SELECT id FROM events_quarantine")}
        assert {str(1_000 * step), str(1_000 * step + 500)} <= left
        assert not [name for name in workspace.deployments._deployer._tables.existing() if "_replay" in name]
        step += 1
    assert step > 12
