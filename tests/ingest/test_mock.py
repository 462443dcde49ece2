from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clickpipe.columns import example_event
from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import mock_rows
from clickpipe.project import load_folder
from clickpipe.runtime import Workspace
from tests.conftest import ROOT
from tests.ingest.hostile import TYPES as HOSTILE_TYPES

UNTIL = datetime(2026, 1, 31, 12)  # noqa: DTZ001 - as ClickHouse has times
TYPES = (
    *("Int8", "UInt8", "Int16", "Int32", "UInt32", "Int64", "UInt64", "Int128", "UInt256", "Float32", "Float64"),
    *("Decimal(9, 2)", "Decimal64(4)", "Decimal(20, 0)", "String", "FixedString(5)", "Bool", "UUID", "Date", "Date32"),
    *("DateTime", "DateTime('Europe/Madrid')", "DateTime64(3)", "DateTime64(6, 'UTC')", "Enum8('a' = 1, 'it''s' = 2)"),
    *(
        "IPv4",
        "IPv6",
        "Array(String)",
        "Array(Int32)",
        "Array(Array(UInt8))",
        "Map(String, Int64)",
        "Tuple(Int8, String)",
    ),
    *(
        "Tuple(a Int8, b Nullable(String))",
        "Nullable(Int32)",
        "LowCardinality(String)",
        "LowCardinality(Nullable(String))",
    ),
    *("SimpleAggregateFunction(max, Int32)", "JSON"),
)


@pytest.mark.parametrize("name", ["clickstream_events", "daily_sessions"])
def test_rows_for_the_example_all_fit(workspace: Workspace, name: str) -> None:
    project = load_folder(ROOT)
    workspace.deploy(project.files)
    rows = list(mock_rows(project.data_sources[name], 500, 7, UNTIL))
    result = workspace.ingest(name, rows)
    assert (result.successful_rows, result.quarantined_rows) == (500, 0)


def test_columns_that_engines_mark_rows_with_have_what_these_take(workspace: Workspace) -> None:
    key = "ENGINE_SORTING_KEY id\n"
    files = {
        "c.datasource": f"SCHEMA >\n    id String,\n    sign Int8\nENGINE CollapsingMergeTree\nENGINE_SIGN sign\n{key}",
        "r.datasource": "SCHEMA >\n    id String,\n    v UInt8,\n    gone UInt8\nENGINE ReplacingMergeTree\n"
        f"ENGINE_VER v\nENGINE_IS_DELETED gone\n{key}",
    }
    workspace.deploy(files)
    for name, column, wanted in (("c", "sign", {1, -1}), ("r", "gone", {0, 1})):
        assert workspace.live is not None
        rows = list(mock_rows(workspace.live.compiled.data_sources[name], 100, 7, UNTIL))
        assert {row[column] for row in rows} == wanted
        assert workspace.ingest(name, rows).quarantined_rows == 0


def test_rows_of_every_type_all_fit_and_go_by_names_too(workspace: Workspace) -> None:
    names = ["country", "user_id", "age", "is_new", "price", "created_at", "email", "status", "latitude", "ts"]
    columns = [f"    c{n} {type_} `json:$.nested.c{n}`" for n, type_ in enumerate(TYPES)]
    columns += [f"    {name} {type_} `json:$.{name}`" for name, type_ in zip(names, TYPES, strict=False)]
    schema = "SCHEMA >\n" + ",\n".join(
        [*columns, "    tags Array(String) `json:$.tags[:]`", "    other Int8 DEFAULT 1"]
    )
    workspace.deploy({"e.datasource": f"{schema}\n\nENGINE_SORTING_KEY tuple()\n"})
    assert workspace.live is not None
    rows = list(mock_rows(workspace.live.compiled.data_sources["e"], 300, 1, UNTIL))
    result = workspace.ingest("e", rows)
    assert workspace.sql("SELECT DISTINCT c__error FROM e_quarantine") == []
    assert result.successful_rows == 300


def rows_of(columns: str, rows: int = 400, seed: int = 1) -> list[dict[str, Any]]:
    from clickpipe.project import load_texts

    source = load_texts({"e.datasource": f"SCHEMA >\n    {columns}\n"}).data_sources["e"]
    return list(mock_rows(source, rows, seed, UNTIL))


def test_the_same_seed_gives_the_same_rows() -> None:
    columns = "id String, at DateTime, n Int32, tags Array(String)"
    first = msgspec.json.encode(rows_of(columns))
    assert msgspec.json.encode(rows_of(columns)) == first
    assert msgspec.json.encode(rows_of(columns, seed=2)) != first


def test_rows_are_believable() -> None:
    rows = rows_of("id String, user_id String, session_id String, country String, at DateTime, updated_at DateTime")
    assert len({row["id"] for row in rows}) == 400
    assert 3 < len({row["user_id"] for row in rows}) < 200
    assert all(row["session_id"].startswith("s" + row["user_id"][1:]) for row in rows)
    countries = [row["country"] for row in rows]
    assert countries.count("US") > countries.count("DE") > 0
    times = [row["at"] for row in rows]
    assert times == sorted(times)
    assert "2026-01-01 12:00:00" <= times[0] <= times[-1] <= "2026-01-31 12:00:00"
    assert all(row["at"] < row["updated_at"] for row in rows)


def test_states_are_made_by_views_alone() -> None:
    with pytest.raises(ClickpipeError, match="only a materialized view can fill it"):
        rows_of("n AggregateFunction(count)")


def test_what_other_paths_lead_through_is_an_object(workspace: Workspace) -> None:
    columns = "id String `json:$.id`, r Nullable(Float64) `json:$.p.r`, p String `json:$.p`, j JSON `json:$.p`"
    rows = rows_of(columns, rows=100)
    assert {type(row["p"]) for row in rows} == {dict}
    assert 80 < sum("r" in row["p"] for row in rows) < 100
    workspace.deploy({"e.datasource": f"SCHEMA >\n    {columns}\n"})
    assert workspace.ingest("e", rows).quarantined_rows == 0


def test_nested_objects_are_filled_at_every_depth(workspace: Workspace) -> None:
    paths = {
        "whole": ("String", "$.p"),
        "geo": ("JSON", "$.p.geo"),
        "lat": ("Float64", "$.p.geo.lat"),
        "tags": ("Array(String)", "$.p.tags[:]"),
        "items": ("String", "$.items"),
        "sku": ("Array(String)", "$.items[:].sku"),
        "n": ("Array(Int32)", "$.items[:].n"),
        "deep": ("Array(Array(Int8))", "$.rows[:].cells[:].v"),
        "opt": ("Nullable(Int16)", "$.j.x.y"),
        "j": ("JSON", "$.j"),
    }
    columns = ", ".join(f"{name} {type_} `json:{path}`" for name, (type_, path) in paths.items())
    workspace.deploy({"e.datasource": f"SCHEMA >\n    {columns}\n"})
    assert workspace.live is not None
    rows = list(mock_rows(workspace.live.compiled.data_sources["e"], 300, 3, UNTIL))
    workspace.ingest("e", rows)
    assert (
        workspace.sql(
            "SELECT c__error_column, c__error, count() c, any(items), any(deep) FROM e_quarantine GROUP BY ALL"
        )
        == []
    )
    filled = (
        *("uniq(lat) > 9", "countIf(notEmpty(sku)) > 9", "countIf(notEmpty(n)) > 9", "countIf(notEmpty(deep[1])) > 9"),
        *("uniq(opt) > 9", "countIf(JSONHas(whole, 'geo', 'lat')) = 300"),
    )
    assert [list(row.values()) for row in workspace.sql(f"SELECT {', '.join(filled)} FROM e")] == [[1] * len(filled)]


def test_mock_rows_of_every_type_fit(columns: Workspace) -> None:
    for number, type_ in enumerate(HOSTILE_TYPES):
        source = columns.queries.live().compiled.data_sources[f"t{number}"]
        result = columns.ingest(f"t{number}", list(mock_rows(source, 5, number, UNTIL)))
        assert (type_, result.successful_rows) == (type_, 5)


@pytest.mark.parametrize(
    "type_",
    [
        *("FixedString(99999999999)", "FixedString(16777215)", "Int99999999999", f"FixedString({'9' * 5000})"),
        *("Decimal(999999999, 2)", "Decimal(9, 999999999)", f"Decimal({'9' * 5000})", "DateTime64(99999999999)"),
        *("Array(" * 60 + "Int8" + ")" * 60, "Map(String, " * 60 + "Int8" + ")" * 60, "FixedString()"),
    ],
)
def test_values_stay_small_whatever_a_type_says(tmp_path: Path, type_: str) -> None:
    (tmp_path / "a.datasource").write_text(f"SCHEMA >\n    `a` {type_} `json:$.a`\n", encoding="utf-8")
    source = load_folder(tmp_path).data_sources["a"]
    for made in (*mock_rows(source, 20, 1, UNTIL), example_event(source)):
        assert len(msgspec.json.encode(made)) < 1_000


@pytest.mark.parametrize("type_", ["Enum8()", "IntX", "Decimal", "Decimal(x)"])
def test_what_is_no_type_is_told_and_no_file_is_touched(tmp_path: Path, type_: str) -> None:
    (tmp_path / "a.datasource").write_text(f"SCHEMA >\n    `a` {type_} `json:$.a`\n", encoding="utf-8")
    with pytest.raises(ClickpipeError, match=r"There is no example of type .* for column 'a': see `clickpipe check`"):
        mock_rows(load_folder(tmp_path).data_sources["a"], 20, 1, UNTIL)
