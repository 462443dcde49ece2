from __future__ import annotations

import re

import pytest

from clickpipe.diagnostics import ClickpipeError, ProjectError
from clickpipe.runtime import Workspace

EVENTS = "SCHEMA >\n    id String,\n    price String\n\nENGINE_SORTING_KEY id\n"
NUMBERS = EVENTS.replace("price String", "price Float64,\n    cheap UInt8 DEFAULT 7")
ROWS = [{"id": "a", "price": "1.5"}, {"id": "b", "price": "free"}]


def forward(query: str) -> dict[str, str]:
    return {"events.datasource": f"{NUMBERS}\nFORWARD_QUERY >\n    {query}\n"}


@pytest.fixture
def deployed(workspace: Workspace) -> Workspace:
    workspace.deploy({"events.datasource": EVENTS})
    workspace.ingest("events", ROWS)
    return workspace


def test_a_forward_query_carries_the_rows_over(deployed: Workspace) -> None:
    with pytest.raises(ClickpipeError, match="1 rows do not fit the new type; say with FORWARD_QUERY"):
        deployed.deploy({"events.datasource": NUMBERS})
    plan = deployed.deploy(forward("SELECT id, toFloat64OrZero(price) AS price"))
    assert [s.rows for s in plan.steps if s.resource == "events"] == [2]
    rows = [{"id": "a", "price": 1.5, "cheap": 7}, {"id": "b", "price": 0, "cheap": 7}]
    assert deployed.sql("SELECT * FROM events ORDER BY id") == rows
    again = deployed.deploy(forward("SELECT id, toFloat64OrZero(price) AS price -- once more"))
    assert [(f.level, f.message) for f in again.feedback] == [
        ("WARNING", "FORWARD_QUERY has no use any more: remove it.")
    ]
    assert deployed.sql("SELECT * FROM events ORDER BY id") == rows


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT id, toFloat64OrZero(prize) AS price", "identifier `prize`"),
        ("SELECT id, 1.5 AS cost", "gives cost, which the schema does not have"),
        ("SELECT 1.5 AS price", "leaves out id: the values would be lost"),
        ("SELECT id, 2 AS cheap", "leaves out price: the values would be lost"),
        (
            "SELECT id, toFloat64OrNull(price) AS price",
            "'price' as Nullable(Float64), and Float64 takes its place: 1 rows",
        ),
        ("SELECT id, 0 AS price, length(id) + 255 AS cheap", "'cheap' as UInt64, and UInt8 takes its place: 2 rows"),
    ],
)
def test_a_forward_query_that_cannot_run_is_refused_when_planned(deployed: Workspace, query: str, reason: str) -> None:
    with pytest.raises(ClickpipeError) as error:
        deployed.deploy(forward(query))
    assert error.value.code == "plan_refused"
    assert reason in error.value.message
    assert deployed.sql("SELECT count() AS c FROM events") == [{"c": 2}]


@pytest.mark.parametrize(
    ("query", "place", "reason"),
    [
        ("SELECT id, 1.5 AS price FROM numbers(3)", "9:29", "a single SELECT without FROM"),
        ("SELECT id, 1.5 AS price FROM events", "9:29", "a single SELECT without FROM"),
        ("SELECT id, file('/etc/passwd') AS price", "9:16", "The function 'file' is not allowed"),
        ("SELECT id, (SELECT max(x) FROM other.t) AS price", "9:36", "The table 'other.t' is not allowed"),
        ("SELECT id, 1.5 AS price UNION ALL SELECT 1, 2", "9:5", "a single SELECT without FROM"),
        ("SELECT id, (1.5 AS price", "9:28", "cannot be parsed"),
        ("SELECT id, toFlot64(price) AS price", "9:16", "toFlot64"),
    ],
)
def test_the_check_refuses_a_forward_query_that_no_table_helps(
    deployed: Workspace, query: str, place: str, reason: str
) -> None:
    with pytest.raises(ProjectError) as error:
        deployed.deploy(forward(query))
    assert f"events.datasource:{place}" in str(error.value)
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        (NUMBERS, (3, 5), "1 rows do not fit the new type"),
        (forward("SELECT id, 1.5 AS cost")["events.datasource"], (9, 5), "gives cost"),
        (EVENTS.replace("id", "key").replace("price", "cost"), (2, 5), "No column of the live table is left"),
    ],
)
def test_a_refusal_names_the_place(deployed: Workspace, text: str, place: tuple[int, int], reason: str) -> None:
    (error,) = deployed.deployments.prepare({"events.datasource": text}).plan.errors
    assert (error.line, error.column) == place
    assert reason in error.message
    assert error.as_dict()["line"] == place[0]
    assert deployed.sql("SELECT count() AS c FROM events") == [{"c": 2}]


def test_a_skipped_backfill_begins_empty(deployed: Workspace) -> None:
    deployed.deploy({"events.datasource": NUMBERS + "BACKFILL skip\n"})
    assert deployed.sql("SELECT count() AS c FROM events") == [{"c": 0}]


def test_connectors_and_sinks_are_said_not_to_run(workspace: Workspace) -> None:
    kafka = EVENTS + "KAFKA_CONNECTION_NAME k\nKAFKA_TOPIC t\nKAFKA_GROUP_ID g\nKAFKA_VALUE_FORMAT avro\n"
    sink = (
        "NODE n\nSQL >\n    SELECT id FROM events\nTYPE sink\n"
        "EXPORT_CONNECTION_NAME k\nEXPORT_KAFKA_TOPIC not/a/name\nEXPORT_SCHEDULE @on-demand\n"
    )
    connection = "TYPE kafka\nKAFKA_BOOTSTRAP_SERVERS localhost:9092\n"
    plan = workspace.deploy({"events.datasource": kafka, "out.pipe": sink, "k.connection": connection})
    of_lines = "has no effect|does not read its topic|does not export its rows"
    told = [f for f in plan.feedback if not re.search(of_lines, f.message)]
    lines = len(plan.feedback) - len(told)
    assert (lines, [(f.level, f.message) for f in told]) == (
        2,
        [
            (
                "WARNING",
                "1 data source with a connector (events) and 1 sink (out) do nothing here: "
                "this build fetches and sends no rows.",
            )
        ],
    )
    workspace.ingest("events", [{"id": "a", "price": "1"}])
    assert workspace.sql("SELECT id, __topic, __offset FROM events") == [{"id": "a", "__topic": "", "__offset": 0}]
    assert workspace.sql("SELECT * FROM out") == [{"id": "a"}]


def test_a_classic_view_keeps_its_derived_target(workspace: Workspace) -> None:
    inner = 'NODE n\nSQL >\n    %\n    SELECT * FROM events WHERE id != {{String(not_this, "it\'s")}}\nTYPE standard\n'
    view = (
        "NODE n\nSQL >\n    SELECT id, countState() AS hits FROM inner GROUP BY id\n"
        "TYPE materialized\nDATASOURCE hits\nENGINE AggregatingMergeTree\nENGINE_SORTING_KEY id\n"
    )
    read = "NODE n\nSQL >\n    SELECT id, countMerge(hits) AS hits FROM hits GROUP BY id ORDER BY id\n"
    files = {"events.datasource": EVENTS, "inner.pipe": inner, "hits_mv.pipe": view, "read.pipe": read}
    workspace.deploy(files)
    workspace.ingest("events", [*ROWS, {"id": "it's", "price": ""}, ROWS[0]])
    rows = [{"id": "a", "hits": 2}, {"id": "b", "hits": 1}]
    assert workspace.query("read") == rows
    assert workspace.deploy(files).is_empty
    workspace.deployments.restore()  # as after a start
    assert workspace.query("read") == rows
    assert workspace.deploy(files).is_empty


@pytest.mark.parametrize(
    ("before", "after", "fits", "lost"),
    [
        ("DateTime64(3)", "DateTime", "2026-01-01 10:00:00", "2026-01-01 10:00:00.5"),
        ("DateTime64(3)", "DateTime", "2026-01-01 10:00:00", "1950-01-01 10:00:00"),
        ("DateTime64(6)", "DateTime64(3)", "2026-01-01 10:00:00.5", "2026-01-01 10:00:00.000001"),
        ("Nullable(DateTime)", "Nullable(Date)", "2026-01-01 00:00:00", "2026-01-01 10:00:00"),
        ("Date32", "Date", "2026-01-01", "1950-01-01"),
        ("Decimal(10, 4)", "Decimal(10, 2)", "1.25", "1.2345"),
        ("Float64", "Decimal(9, 1)", "1.1", "1.25"),
        ("Float64", "Float32", "nan", "1.1"),
        ("Int32", "Date", "20000", "1769904001"),
        ("Nullable(Int64)", "Int32", "7", "5000000000"),
    ],
)
def test_no_type_takes_something_of_a_value_without_a_word(
    workspace: Workspace, before: str, after: str, fits: str, lost: str
) -> None:
    schema = "SCHEMA >\n    id String `json:$.id`,\n    v {} `json:$.v`\nENGINE_SORTING_KEY id\n"
    for value, refused in ((fits, False), (lost, True)):
        workspace.deploy({"events.datasource": schema.format(before)})
        workspace.ingest("events", [{"id": "a", "v": value}])
        change = {"events.datasource": schema.format(after)}
        errors = workspace.deployments.prepare(change, allow_destructive=True).plan.errors
        assert ["1 rows do not fit the new type" in error.message for error in errors] == [True] * refused
        workspace.data.truncate("events")


OLD_ENUM, NEW_ENUM = "Enum8('a' = 1, 'it''s (b)' = 2)", "Enum8('a' = 2, 'it''s (b)' = 1, 'c' = 3)"


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        (OLD_ENUM, NEW_ENUM, "a"),
        (f"Nullable({OLD_ENUM})", f"Nullable({NEW_ENUM})", None),
        (f"Array({OLD_ENUM})", f"Array({NEW_ENUM})", ["a", "it's (b)"]),
        (f"Map(String, {OLD_ENUM})", f"Map(String, {NEW_ENUM})", {"k": "it's (b)"}),
    ],
)
def test_an_enum_with_other_numbers_keeps_its_names(workspace: Workspace, old: str, new: str, value: object) -> None:
    schema = "SCHEMA >\n    id Int32,\n    e {}\n\nENGINE_SORTING_KEY id\n"
    workspace.deploy({"e.datasource": schema.format(old)})
    workspace.ingest("e", [{"id": 1, "e": value}])
    workspace.deploy({"e.datasource": schema.format(new)})
    assert workspace.sql("SELECT * FROM e") == [{"id": 1, "e": value}]


def test_a_forward_query_that_passes_an_enum_with_other_numbers_is_refused(workspace: Workspace) -> None:
    schema = "SCHEMA >\n    id Int32,\n    e {}\n\nENGINE_SORTING_KEY id\n"
    workspace.deploy({"e.datasource": schema.format(OLD_ENUM)})
    workspace.ingest("e", [{"id": 1, "e": "a"}])
    with pytest.raises(ClickpipeError, match="gives 'e' as Enum8"):
        workspace.deploy({"e.datasource": f"{schema.format(NEW_ENUM)}\nFORWARD_QUERY >\n    SELECT *\n"})
    workspace.deploy({"e.datasource": f"{schema.format(NEW_ENUM)}\nFORWARD_QUERY >\n    SELECT id, toString(e) AS e\n"})
    assert workspace.sql("SELECT * FROM e") == [{"id": 1, "e": "a"}]
