"""A column is dropped with its values only if that is allowed, also values that are on their way."""

from __future__ import annotations

import pytest

from clickpipe.diagnostics import ClickpipeError
from clickpipe.runtime import Workspace


@pytest.mark.parametrize(
    ("before", "after", "query"),
    [
        ("plan String `json:$.plan`", "user_plan String `json:$.plan`", "SELECT * EXCEPT (plan), plan AS user_plan"),
        ("plan String", "user_plan String", "SELECT * EXCEPT (plan), plan AS user_plan"),
        (
            "plan String `json:$.p`",
            "user_plan LowCardinality(String) `json:$.p`",
            "SELECT * EXCEPT (plan), CAST(plan, 'LowCardinality(String)') AS user_plan",
        ),
        ("plan String", "n Int32", ""),
        ("plan String", "", ""),
    ],
)
def test_a_column_whose_values_would_be_lost_is_dropped_only_if_that_is_allowed(
    workspace: Workspace, before: str, after: str, query: str
) -> None:
    schema = "SCHEMA >\n    id String `json:$.id`,\n    {}\nENGINE_SORTING_KEY id\n"
    schema = schema if "json:" in before else schema.replace(" `json:$.id`", "")
    workspace.deploy({"events.datasource": schema.format(before)})
    path = "p" if "$.p`" in before else "plan"
    changed = schema.format(after) if after else schema.replace(",\n    {}", "")
    assert workspace.deployments.prepare({"events.datasource": changed}).plan.errors == ()  # nothing would be lost
    workspace.ingest("events", [{"id": "a", path: "pro"}])
    for files in ({"events.datasource": changed}, {"events.datasource": changed + 'ENGINE_PARTITION_KEY "id"\n'}):
        plan = workspace.deployments.prepare(files).plan
        (error,) = plan.errors
        assert error.message.startswith("The values of 'plan' in 1 rows would be lost with the column.")
        assert "--allow-destructive-operations" in error.message
        assert (error.line, error.column) == (2, 5)
        assert (f"FORWARD_QUERY >\n    {query}\n" in error.message) is bool(query)
        assert workspace.deployments.prepare(files, allow_destructive=True).plan.errors == ()
    if query:
        workspace.deploy({"events.datasource": f"{changed}FORWARD_QUERY >\n    {query}\n"})
        assert workspace.sql("SELECT user_plan FROM events") == [{"user_plan": "pro"}]


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("Nullable(String)", "x"),
        ("Nullable(String)", ""),
        ("LowCardinality(Nullable(String))", "x"),
        ("Nullable(Int32)", 0),
        ("Dynamic", 1),
        ("Variant(String, Int64)", "x"),
        ("Nullable(JSON)", {}),
    ],
)
def test_a_column_with_nothing_but_null_is_dropped(workspace: Workspace, type_: str, value: object) -> None:
    schema = "SCHEMA >\n    id String,\n    other String,\n    gone {}\nENGINE_SORTING_KEY id\n".format
    changed = "SCHEMA >\n    id String,\n    other String\nENGINE_SORTING_KEY id\n"
    workspace.deploy({"events.datasource": schema(type_)})
    workspace.ingest("events", [{"id": "a", "other": ""}, {"id": "b", "other": "", "gone": None}])
    for files in ({"events.datasource": changed}, {"events.datasource": changed + 'ENGINE_PARTITION_KEY "id"\n'}):
        assert workspace.deployments.prepare(files).plan.errors == ()
    both = {"events.datasource": "SCHEMA >\n    id String\nENGINE_SORTING_KEY id\n"}
    (error,) = workspace.deployments.prepare(both).plan.errors  # texts that are empty are values
    assert error.message.startswith("The values of 'other' in 2 rows would be lost")
    workspace.ingest("events", [{"id": "a", "other": "", "gone": value}])
    (error,) = workspace.deployments.prepare({"events.datasource": changed}).plan.errors
    assert error.message.startswith("The values of 'gone' in 3 rows would be lost")


@pytest.mark.parametrize(
    ("type_", "held", "value"),
    [
        ("Nullable(String)", [{"id": "a"}], "x"),
        ("Nullable(String)", [], "x"),
        ("String", [], "x"),  # rows of the log may be on their way to an empty table
        ("Int32", [], 0),
        ("Array(String)", [], []),
    ],
)
def test_a_value_that_comes_while_a_drop_is_planned_stops_it(
    workspace: Workspace, type_: str, held: list[dict[str, object]], value: object
) -> None:
    schema = "SCHEMA >\n    id String{}\nENGINE_SORTING_KEY id\n".format
    workspace.deploy({"events.datasource": schema(f",\n    gone {type_}")})
    workspace.ingest("events", held)
    prepared = workspace.deployments.prepare({"events.datasource": schema("")})
    assert prepared.plan.errors == ()
    workspace.ingest("events", [{"id": "b", "gone": value}])
    with pytest.raises(ClickpipeError, match="'gone' got a value while this deployment was planned"):
        workspace.deployments.apply(workspace.deployments.start(prepared), prepared)
    assert workspace.sql("SELECT gone FROM events WHERE id = 'b'") == [{"gone": value}]


def test_a_drop_that_is_allowed_takes_values_that_come_meanwhile(workspace: Workspace) -> None:
    schema = "SCHEMA >\n    id String{}\nENGINE_SORTING_KEY id\n".format
    workspace.deploy({"events.datasource": schema(",\n    gone String")})
    prepared = workspace.deployments.prepare({"events.datasource": schema("")}, allow_destructive=True)
    assert prepared.plan.warnings == ()
    workspace.ingest("events", [{"id": "b", "gone": "x"}])
    workspace.deployments.apply(workspace.deployments.start(prepared), prepared)
    assert workspace.sql("SELECT * FROM events") == [{"id": "b"}]
