from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from clickpipe.deploy import Category, Changes, Plan
from clickpipe.diagnostics import ClickpipeError
from clickpipe.runtime import Instance, Workspace

EVENTS = "SCHEMA >\n    id String,\n    n Int32,\n    note Nullable(String)\n\nENGINE_SORTING_KEY id\n"
SUMS = (
    "SCHEMA >\n    id String,\n    n SimpleAggregateFunction(sum, Int64)\n\n"
    "ENGINE AggregatingMergeTree\nENGINE_SORTING_KEY id\n"
)
VIEW = "NODE n\nSQL >\n    SELECT id, sum(n) AS n FROM events GROUP BY id\nTYPE materialized\nDATASOURCE sums\n"
COUNTS = VIEW.replace("sum(n)", "toInt64(count())")
FILES = {
    "events.datasource": EVENTS,
    "spare.datasource": EVENTS,
    "sums.datasource": SUMS,
    "sums_mv.pipe": VIEW,
}


ROWS = [{"id": "a", "n": 1, "note": "7"}, {"id": "b", "n": 2, "note": "many"}, {"id": "c", "n": 300}]


@pytest.fixture(scope="module")
def deployed(instance: Instance) -> Iterator[Workspace]:
    """Three rows in `events`, none in `spare`; one workspace for all, as plans change nothing."""
    made = instance.workspaces.create("plans")
    made.deploy(FILES)
    made.ingest("events", ROWS)
    yield made
    instance.workspaces.delete(made)


def plan(workspace: Workspace, change: Mapping[str, str | None], *, allow_destructive: bool = False) -> Plan:
    files = {name: text for name, text in {**FILES, **change}.items() if text is not None}
    return workspace.deployments.prepare(files, allow_destructive=allow_destructive).plan


def data_steps(found: Plan) -> list[tuple[Category, str, int]]:
    return [(s.category, s.resource, s.rows) for s in found.steps if s.category is not Category.METADATA]


def test_everything_is_new_at_first(workspace: Workspace) -> None:
    found = plan(workspace, {})
    assert data_steps(found) == [
        (Category.CREATE, "events", 0),
        (Category.CREATE, "spare", 0),
        (Category.REBUILD, "sums", 0),
    ]
    assert found.data_sources == Changes(new=("events", "spare", "sums"))
    assert found.pipes == Changes(new=("sums_mv",))
    assert found.feedback == ()


def test_the_same_files_change_nothing(deployed: Workspace) -> None:
    found = plan(deployed, {})
    assert found.is_empty
    assert found.steps == ()


@pytest.mark.parametrize(
    ("change", "steps"),
    [
        pytest.param({"more.datasource": EVENTS}, [(Category.CREATE, "more", 0)], id="new data source"),
        pytest.param(
            {"events.datasource": EVENTS.replace("Int32", "Int64")}, [(Category.REWRITE, "events", 3)], id="type"
        ),
        pytest.param(
            {"events.datasource": EVENTS.replace("n Int32,", "n Int32,\n    tag String DEFAULT 'x',")},
            [(Category.ALTER, "events", 3)],
            id="new column",
        ),
        pytest.param(
            {"events.datasource": EVENTS.replace("KEY id", "KEY n, id")}, [(Category.REWRITE, "events", 3)], id="key"
        ),
        pytest.param(
            {"spare.datasource": EVENTS.replace("KEY id", "KEY n")}, [(Category.REWRITE, "spare", 0)], id="no rows"
        ),
        pytest.param({"sums_mv.pipe": VIEW.replace("sum(n)", "max(n)")}, [(Category.REBUILD, "sums", 3)], id="view"),
        pytest.param(
            {"sums.datasource": SUMS.replace("id String", "id LowCardinality(String)")},
            [(Category.REBUILD, "sums", 3)],
            id="target",
        ),
        pytest.param({"spare.datasource": None}, [(Category.DESTRUCTIVE, "spare", 0)], id="removed, empty"),
        pytest.param(
            {"events.datasource": None, "sums.datasource": None, "sums_mv.pipe": None},
            [(Category.DESTRUCTIVE, "events", 3), (Category.DESTRUCTIVE, "sums", 3)],
            id="removed, with rows",
        ),
        pytest.param({"ones.pipe": "NODE n\nSQL >\n    SELECT 1 AS one\nTYPE endpoint\n"}, [], id="an endpoint only"),
    ],
)
def test_a_change_is_a_step_with_the_rows_it_reads(
    deployed: Workspace, change: dict[str, str | None], steps: list[tuple[Category, str, int]]
) -> None:
    found = plan(deployed, change, allow_destructive=True)
    assert data_steps(found) == steps
    assert not found.is_empty
    assert found.errors == ()
    assert plan(deployed, {}).is_empty  # planning changed nothing


def test_names_say_what_is_new_changed_and_gone(deployed: Workspace) -> None:
    change = {"spare.datasource": None, "more.datasource": EVENTS, "sums_mv.pipe": VIEW + "\n"}
    found = plan(deployed, change, allow_destructive=True)
    assert found.data_sources == Changes(new=("more",), deleted=("spare",))
    assert found.pipes == Changes(changed=("sums_mv",))


@pytest.mark.parametrize(("name", "rows"), [("events", 3), ("spare", 0)])
def test_a_data_source_is_not_removed_without_a_word(deployed: Workspace, name: str, rows: int) -> None:
    keep = {f: t for f, t in FILES.items() if f != f"{name}.datasource" and (name == "spare" or "sums" not in f)}
    with pytest.raises(ClickpipeError, match=rf"'{name}' \({rows} rows\) would be deleted"):
        deployed.deploy(keep)
    assert deployed.sql(f"SELECT count() AS c FROM {name}") == [{"c": rows}]


@pytest.mark.parametrize(
    ("before", "after", "lost"),
    [
        ("n Int32", "n Int8", "from Int32 to Int8: 1 rows do not fit"),
        ("note Nullable(String)", "note Nullable(Int32)", "1 rows do not fit"),
        ("note Nullable(String)", "note String", "1 rows do not fit"),
        ("note Nullable(String)", "note LowCardinality(String)", "1 rows do not fit"),
        ("n Int32", "n Array(Int32)", "ClickHouse cannot convert it"),
        ("n Int32", "n Enum8('one' = 1, 'two' = 2)", "cannot convert it (Value 300 cannot"),
    ],
)
def test_a_cast_that_loses_values_is_refused_with_the_count(
    deployed: Workspace, before: str, after: str, lost: str
) -> None:
    with pytest.raises(ClickpipeError) as error:
        deployed.deploy({**FILES, "events.datasource": EVENTS.replace(before, after), "sums_mv.pipe": COUNTS})
    assert error.value.code == "plan_refused"
    assert lost in error.value.message
    assert deployed.sql("SELECT sum(n) AS s FROM events") == [{"s": 303}]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("n Int32", "n Int16"),
        ("n Int32", "n Nullable(Int64)"),
        ("note Nullable(String)", "note LowCardinality(Nullable(String))"),
        ("id String", "id LowCardinality(String)"),
    ],
)
def test_a_cast_that_keeps_every_value_is_carried_out(workspace: Workspace, before: str, after: str) -> None:
    workspace.deploy({"events.datasource": EVENTS})
    workspace.ingest("events", ROWS)
    name, sql = before.split(maxsplit=1)[0], "SELECT id, toString(n) AS n, note FROM events ORDER BY id"
    rows = workspace.sql(sql)
    workspace.deploy({"events.datasource": EVENTS.replace(before, after)})
    assert workspace.sql(sql) == rows
    assert workspace.sql(f"SELECT any(toTypeName({name})) AS t FROM events") == [{"t": after.split(maxsplit=1)[1]}]
