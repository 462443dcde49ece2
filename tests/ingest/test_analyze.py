"""Samples of files, the data sources that are written for them, and that these take what the sample has."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings, strategies as st

from clickpipe.datafile import format_datafile
from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import analyze, analyze_columns, datasource_text, lines_of
from clickpipe.runtime import Workspace
from tests.conftest import Compile


def ndjson(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def types(sample: bytes, format_: str = "ndjson") -> dict[str, str]:
    return {c.name: c.type for c in analyze(sample, format_).columns}


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ([1, 2], "Int16"),
        ([20_000], "Int32"),
        ([-1, 2_000_000_000], "Int64"),
        ([2**63], "UInt64"),
        ([2**64], "String"),
        ([1, 1.5], "Float64"),
        ([True, False], "Bool"),
        ([True, 1], "String"),
        (["2026-01-31"], "Date"),
        (["1870-01-31"], "Date32"),
        (["2026-02-30"], "Date"),
        (["2026-13-01"], "String"),
        (["2026-01-31 10:00:00", "2026-01-31T10:00:00Z"], "DateTime"),
        (["2026-01-31T10:00:00.123Z"], "DateTime64(3)"),
        (["2026-01-31T10:00:00.123456+01:00"], "DateTime64(6)"),
        (["1900-01-31 10:00:00"], "DateTime64(3)"),
        (["2026-01-31", "2026-01-31 10:00:00"], "DateTime"),
        (["61f0c404-5cb3-11e7-907b-a6006ad3dba0"], "UUID"),
        (["1.2.3.4"], "String"),
        (["12"], "String"),
        (["a", "b"] * 20, "LowCardinality(String)"),
        (["a", None] * 20, "LowCardinality(Nullable(String))"),
        ([1, None], "Nullable(Int16)"),
        ([None], "Nullable(String)"),
        ([1, "a"], "String"),
        ([[1, 2], []], "Array(Int16)"),
        ([[]], "Array(String)"),
        ([["a", 1]], "Array(String)"),
        ([[{"a": 1}]], "String"),
        ([{}], "String"),
    ],
)
def test_a_columns_type(values: list[Any], type_: str) -> None:
    assert types(ndjson(*({"x": value} for value in values))) == {"x": type_}


def test_names_tell_something_too() -> None:
    assert types(ndjson({"user_id": 1, "client_ip": "1.2.3.4", "ts": 1769904000})) == {
        "user_id": "Int64",
        "client_ip": "IPv4",
        "ts": "Int64",
    }


def test_objects_become_columns_of_their_own() -> None:
    found = analyze(ndjson({"a": {"b": {"c": {"d": 1}, "e": 1}}, "Odd key": 1, "1st": 1, "tags": ["x"]}), "ndjson")
    assert [(c.name, c.path, c.type) for c in found.columns] == [
        ("a_b_c", "$.a.b.c", "String"),
        ("a_b_e", "$.a.b.e", "Int16"),
        ("odd_key", "$.['Odd key']", "Int16"),
        ("_1st", "$.['1st']", "Int16"),
        ("tags", "$.tags[:]", "Array(String)"),
    ]


def test_what_is_an_object_here_and_a_value_there_is_a_text() -> None:
    assert types(ndjson({"a": {"b": 1}}, {"a": 1}, {"c": [1]}, {"c": 1})) == {
        "a": "Nullable(String)",
        "c": "Nullable(String)",
    }


@pytest.mark.parametrize(
    ("text", "expected", "delimiter", "header"),
    [
        ("id,n\na,1\nb,2\n", {"id": "String", "n": "Int16"}, ",", True),
        ("a;1.5;2026-01-31\nb;2;2026-02-01\n", {"c0": "String", "c1": "Float64", "c2": "Date"}, ";", False),
        ("x\ty\n1\t\n", {"x": "Int16", "y": "Nullable(String)"}, "\t", True),
        ('name|quote\n"a|b"|"c ""d"""\n', {"name": "String", "quote": "String"}, "|", True),
        ("zip,plus\n01234,+1\n", {"zip": "String", "plus": "String"}, ",", True),
        ("a,b\n1,true\n2,False\n3,tr", {"a": "Int16", "b": "Bool"}, ",", True),
        ("one\n", {"one": "Nullable(String)"}, ",", True),
        ("1st,#,%\na,2,0.5\nb,3,\n", {"_1st": "String", "column": "Int16", "column_2": "Nullable(Float64)"}, ",", True),
        ("1st,2nd\na,b\n", {"c0": "String", "c1": "String"}, ",", False),
        ("country,2025\nES,1\n", {"c0": "String", "c1": "Int16"}, ",", False),
        (
            ",id,id,Full Name\n0,a,b,\\N\n1,c,d,x\n",
            {"column": "Int16", "id": "String", "id_2": "String", "full_name": "Nullable(String)"},
            ",",
            True,
        ),
    ],
)
def test_csv(text: str, expected: dict[str, str], delimiter: str, *, header: bool) -> None:
    found = analyze(text.encode(), "csv", cut=not text.endswith("\n"))
    assert {c.name: c.type for c in found.columns} == expected
    assert (found.delimiter, found.header) == (delimiter, header)


@pytest.mark.parametrize(
    ("text", "format_"),
    [
        ('{"v":5}\n{"v":300000}', "ndjson"),
        ('[{"v":5},{"v":300000}]', "json"),
        ("v\n5\n300000", "csv"),
        ('{"v":5}\n{"v":300000}\n{"v":3000000000000', "ndjson"),
    ],
)
def test_the_last_line_counts_unless_it_is_cut_off(text: str, format_: str) -> None:
    assert {c.name: c.type for c in analyze(text.encode(), format_).columns} == {"v": "Int32"}


ODD = (
    ndjson({"tenant_id": "a", "event_id": "e0", "plan": "free", "timestamp": "2026-01-01 00:00:00"}) * 20
    + ndjson({"tenant_id": "b", "event_id": "e1", "plan": "pro", "timestamp": "2026-01-02 00:00:00"}) * 20,
    ndjson({"a": [1, None], "b": [], "c": {}, "d": None, "e": [[1]], "f": [{"x": 1}], "g": "x" * 70_000}),
    ndjson({"a-b": 1, "a b": 2, "1": 3, "select": 4, "null": 5, "\u00fc": 6, "A": 7, "a": 8, "x.y": 9, "": 10}),
    ndjson({"id": 2**63, "n": -(2**63), "big": 2**70, "f": 1e300, "t": "2200-01-01 00:00:00", "d": "1900-01-01"}),
    ndjson({"at": "2026-01-01T00:00:00.123456Z", "u": "61f0c404-5cb3-11e7-907b-a6006ad3dba0", "ip": "1.2.3.4"}),
    ndjson({"a": {"b": {"c": {"d": 1}}}, "insertion_date": "x", "c__error": "y", "index": 1, "values": [True]}),
    ndjson({"a": 1}, {"a": "x"}, {"a": [1]}, {"a": {"b": 1}}, {"a": True}),
    ndjson({"date": "2026-01-31", "day": "2026-01-31 12:00:00", "time": "12:00:00", "year": "2026"}),
)


@pytest.mark.parametrize("number", range(len(ODD)))
def test_a_file_can_be_loaded_into_the_data_source_made_for_it(workspace: Workspace, number: int) -> None:
    text = datasource_text(analyze(ODD[number], "ndjson"))
    workspace.deploy({"e.datasource": text})
    result = workspace.data.submit("e", lines_of(ODD[number])).result()
    assert workspace.sql("SELECT DISTINCT c__error FROM e_quarantine") == []
    assert result.quarantined_rows == 0


def test_the_reply_that_clients_read() -> None:
    assert analyze(ndjson({"a": 1, "b": "x"}, {"a": 2}), "ndjson").as_dict() == {
        "analysis": {
            "schema": "a Int16 `json:$.a`, b Nullable(String) `json:$.b`",
            "columns": [
                {"name": "a", "path": "$.a", "recommended_type": "Int16", "present_pct": 1.0},
                {"name": "b", "path": "$.b", "recommended_type": "Nullable(String)", "present_pct": 0.5},
            ],
        }
    }
    assert analyze(b"a,b\n1,2\n", "csv").as_dict()["dialect"] == {"delimiter": ",", "has_header": True}


@pytest.mark.parametrize(
    ("sample", "format_"),
    [(b"", "ndjson"), (b"\xff\xfe\x00", "ndjson"), (b"[1]", "ndjson"), (b"", "csv"), (b"[" * 100_000, "json")],
)
def test_what_is_nothing(sample: bytes, format_: str) -> None:
    with pytest.raises(ClickpipeError, match=f"read as {format_}"):
        analyze(sample, format_)


def test_a_sample_may_be_cut_off_and_dirty() -> None:
    whole = b"\xef\xbb\xbf" + ndjson({"a": 1}, {"a": 2}) + b"nonsense\n" + b"[" * 5000 + b"\n" + ndjson({"a": 3})
    for length in range(20, len(whole)):
        assert types(whole[:length]) == {"a": "Int16"}


EVENTS = ndjson(
    *(
        {
            "id": f"{n:08x}-0000-4000-8000-000000000000",
            "user_id": f"u{n % 7}",
            "kind": "click" if n % 3 else "view",
            "price": None if n % 5 else n / 4,
            "at": f"2026-01-{1 + n % 28:02d}T10:00:00.{n:03d}Z",
            "tags": ["a"] * (n % 3),
            "device": {"os": "linux", "size": n},
        }
        for n in range(60)
    )
)


def test_a_written_data_source_is_as_a_person_would_keep_it(compile_files: Compile, workspace: Workspace) -> None:
    text = datasource_text(analyze(EVENTS, "ndjson"), "Clicks.")
    assert (
        text
        == """\
DESCRIPTION >
    Clicks.

SCHEMA >
    `id` UUID `json:$.id`,
    `user_id` String `json:$.user_id`,
    `kind` LowCardinality(String) `json:$.kind`,
    `price` Nullable(Float64) `json:$.price`,
    `at` DateTime64(3) `json:$.at`,
    `tags` Array(String) `json:$.tags[:]`,
    `device_os` LowCardinality(String) `json:$.device.os`,
    `device_size` Int16 `json:$.device.size`

ENGINE "MergeTree"
ENGINE_PARTITION_KEY "toYYYYMM(at)"
ENGINE_SORTING_KEY "kind, user_id, at"
"""
    )
    assert format_datafile("e.datasource", text) == (text, [])
    assert compile_files({"e.datasource": text}).diagnostics == ()
    workspace.deploy({"e.datasource": text})
    result = workspace.data.submit("e", lines_of(EVENTS)).result()
    assert (result.successful_rows, result.quarantined_rows) == (60, 0)


def test_columns_of_a_parquet_file() -> None:
    found = analyze_columns([("a", "Nullable(Int64)"), ("list", "Array(Nullable(String))")])
    assert [(c.name, c.path, c.type) for c in found.columns] == [
        ("a", "$.a", "Nullable(Int64)"),
        ("list", "$.list[:]", "Array(Nullable(String))"),
    ]


@given(st.binary(max_size=300), st.sampled_from(["csv", "ndjson", "json"]))
def test_any_bytes_are_analyzed_or_refused(sample: bytes, format_: str) -> None:
    try:
        assert datasource_text(analyze(sample, format_))
    except ClickpipeError as error:
        assert error.code == "cannot_analyze"  # noqa: PT017 - either is right


VALUES = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=5) | st.dates().map(str)
KEYS = st.text(st.characters(codec="ascii", min_codepoint=32), min_size=1, max_size=8)


@settings(max_examples=25)
@example([{"NULL": "2000-01-01"}])
@example([{"true": "a_id", "inf": "2000-01-01", "NaN": "x"}])
@given(st.lists(st.dictionaries(KEYS, VALUES | st.lists(st.integers(0, 9)), min_size=1, max_size=4), min_size=1))
def test_what_is_written_for_any_objects_compiles(compile_files: Compile, rows: list[dict[str, Any]]) -> None:
    try:
        text = datasource_text(analyze(ndjson(*rows), "ndjson"))
    except ClickpipeError:  # all keys have a quote or the like in them
        return
    assert [d.message for d in compile_files({"e.datasource": text}).diagnostics] == []
