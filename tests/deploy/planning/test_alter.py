"""Changes that a table's files can take over: what they leave as it was, and what is copied instead."""

from __future__ import annotations

import pytest

from clickpipe.deploy import Category, Plan
from clickpipe.runtime import Instance, Workspace

EVENTS = """\
SCHEMA >
    id String `json:$.id`,
    n Int32 `json:$.n`,
    at DateTime `json:$.at`

ENGINE MergeTree
ENGINE_PARTITION_KEY toYYYYMM(at)
ENGINE_SORTING_KEY id
"""
SUMS = (
    "SCHEMA >\n    id String,\n    n SimpleAggregateFunction(sum, Int64)\n\n"
    "ENGINE AggregatingMergeTree\nENGINE_SORTING_KEY id\n"
)
VIEW = "NODE n\nSQL >\n    SELECT id, sum(n) AS n FROM events GROUP BY id\nTYPE materialized\nDATASOURCE sums\n"
FILES = {"events.datasource": EVENTS, "sums.datasource": SUMS, "sums_mv.pipe": VIEW}
ROWS = [{"id": f"r{k}", "n": k, "at": f"2026-0{1 + k % 3}-01 00:00:00"} for k in range(6)]


def more(column: str) -> dict[str, str]:
    return {
        **FILES,
        "events.datasource": EVENTS.replace("at DateTime `json:$.at`", f"at DateTime `json:$.at`,\n    {column}"),
    }


@pytest.fixture
def deployed(workspace: Workspace) -> Workspace:
    workspace.deploy(FILES)
    workspace.ingest("events", ROWS)
    return workspace


def category(plan: Plan, resource: str = "events") -> Category:
    (step,) = (step for step in plan.steps if step.resource == resource)
    return step.category


@pytest.mark.parametrize("default", ["'x'", "concat('x', '')", "7::String", "toString(rand())"])
def test_a_default_is_what_it_was_when_the_column_came(deployed: Workspace, default: str) -> None:
    plan = deployed.deploy(more(f"tag String DEFAULT {default}"))
    assert category(plan) is Category.ALTER
    before = deployed.sql("SELECT id, tag FROM events ORDER BY id")
    assert before == deployed.sql("SELECT id, tag FROM events ORDER BY id")
    deployed.ingest("events", [{"id": "s", "n": 1, "at": "2026-01-01 00:00:00"}])
    plan = deployed.deploy(more("tag String DEFAULT 'another'"))
    assert category(plan) is Category.ALTER
    assert deployed.sql("SELECT id, tag FROM events WHERE id != 's' ORDER BY id") == before
    deployed.ingest("events", [{"id": "t", "n": 1, "at": "2026-01-01 00:00:00"}])
    assert deployed.sql("SELECT tag FROM events WHERE id = 't'") == [{"tag": "another"}]


def test_a_column_that_only_its_default_gave_becomes_nullable(deployed: Workspace) -> None:
    deployed.deploy(more("more Int32"))
    plan = deployed.deploy(more("more Nullable(Int32)"))
    assert category(plan) is Category.ALTER
    assert deployed.sql("SELECT DISTINCT more FROM events") == [{"more": 0}]


def test_a_column_that_comes_again_is_a_new_one(deployed: Workspace) -> None:
    deployed.deploy(more("tag String DEFAULT 'first'"))
    plan = deployed.deploy(FILES, allow_destructive=True)
    assert [f.message for f in plan.feedback] == ["The values of 'tag' in 6 rows are lost with the column."]
    deployed.deploy(more("tag String DEFAULT 'second'"))
    assert deployed.sql("SELECT DISTINCT tag FROM events") == [{"tag": "second"}]


def test_views_keep_what_they_made(deployed: Workspace) -> None:
    plan = deployed.deploy(more("tag String DEFAULT 'x'"))
    assert {step.resource: step.category for step in plan.steps}["sums"] is Category.METADATA
    assert "+tag" in next(step.reason for step in plan.steps if step.resource == "events")
    deployed.ingest("events", [{"id": "s", "n": 100, "at": "2026-01-01 00:00:00"}])
    assert deployed.sql("SELECT sum(n) AS s FROM sums") == [{"s": 115}]


def test_rows_that_a_shorter_ttl_does_not_want_go_at_the_next_merge(instance: Instance, deployed: Workspace) -> None:
    ttl = {**FILES, "events.datasource": EVENTS + "ENGINE_TTL at + INTERVAL 1 MONTH\n"}
    assert category(deployed.deploy(ttl)) is Category.ALTER
    assert deployed.sql("SELECT sum(n) AS s FROM sums") == [{"s": 15}]
    instance.engine.execute(f"OPTIMIZE TABLE {deployed.queries.live().physical.tables['events']} FINAL")
    assert deployed.sql("SELECT count() AS c FROM events") == [{"c": 0}]


def test_an_index_holds_for_the_rows_that_are_there(instance: Instance, deployed: Workspace) -> None:
    index = "INDEXES >\n    INDEX by_n n TYPE minmax GRANULARITY 1\n\nENGINE MergeTree"
    plan = deployed.deploy({**FILES, "events.datasource": EVENTS.replace("ENGINE MergeTree", index)})
    assert category(plan) is Category.ALTER
    table = deployed.queries.live().physical.tables["events"]
    told = instance.engine.execute(f"EXPLAIN indexes = 1 SELECT * FROM {table} WHERE n = 100", output="TSVRaw").body
    assert b"by_n" in told
    assert b"Parts: 0/3" in told


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("KEY id", "KEY id, at", id="sorting key"),
        pytest.param("toYYYYMM(at)", "toYear(at)", id="partition key"),
        pytest.param("n Int32", "n Int64", id="type"),
        pytest.param("ENGINE MergeTree", "ENGINE ReplacingMergeTree", id="engine"),
        pytest.param("KEY id\n", 'KEY id\nENGINE_SETTINGS "index_granularity_bytes=0"\n', id="granules"),
        pytest.param("`json:$.n`,", "`json:$.n` CODEC(ZSTD(1)),", id="FORWARD_QUERY"),
    ],
)
def test_what_files_cannot_take_over_is_copied(
    request: pytest.FixtureRequest, workspace: Workspace, old: str, new: str
) -> None:
    workspace.deploy({"events.datasource": EVENTS})
    workspace.ingest("events", ROWS)
    forward = "KEY id\n\nFORWARD_QUERY >\n    SELECT id, n, at\n"
    changed = EVENTS.replace(old, new)
    if "FORWARD_QUERY" in request.node.name:
        changed = changed.replace("KEY id\n", forward)
    assert category(workspace.deploy({"events.datasource": changed})) is Category.REWRITE
    assert workspace.sql("SELECT id, n FROM events ORDER BY id") == [{"id": r["id"], "n": r["n"]} for r in ROWS]


def test_deployment_method_alter_keeps_the_rows_of_a_target(deployed: Workspace) -> None:
    doubled = VIEW.replace("sum(n)", "sum(n * 2)")
    plan = deployed.deploy({**FILES, "sums_mv.pipe": doubled + "DEPLOYMENT_METHOD alter\n"})
    assert category(plan, "sums") is Category.METADATA
    assert deployed.sql("SELECT sum(n) AS s FROM sums") == [{"s": 15}]
    deployed.ingest("events", [{"id": "s", "n": 1, "at": "2026-01-01 00:00:00"}])
    assert deployed.sql("SELECT sum(n) AS s FROM sums") == [{"s": 17}]
    plan = deployed.deploy({**FILES, "sums_mv.pipe": VIEW})
    assert category(plan, "sums") is Category.REBUILD
    assert deployed.sql("SELECT sum(n) AS s FROM sums") == [{"s": 16}]
