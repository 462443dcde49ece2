"""Values at the edges of a type, by every way in: stored exactly as sent, or in quarantine."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from clickpipe.ingest import Dialect, lines_of, read_file
from clickpipe.runtime import Instance, Workspace

INTEGERS = {f"{sign}Int{bits}": (0 if sign else -(2 ** (bits - 1)), 2 ** (bits - (not sign)) - 1)
            for bits in (8, 16, 32, 64, 128, 256) for sign in ("", "U")}  # fmt: skip
SECONDS = {
    "Time": {"0": "00:00:00", "99": "00:01:39", "100": "00:01:40", "3600": "01:00:00", "-3600": "-01:00:00",
             "3599999": "999:59:59", "-3599999": "-999:59:59", "3600000": None, "-3600000": None, "3600.5": None,
             "99999999999": None},
    "Time64(3)": {"0": "00:00:00.000", "5.5": "00:00:05.500", "3600": "01:00:00.000", "-3600.25": "-01:00:00.250",
                  "3599999.999": "999:59:59.999", "3600000": None, "-3600000": None, "99999999999": None},
}  # fmt: skip
# A type, and what it takes for a missing value. One within another has a text that is used very often.
MISSING = {
    "Array(Int32)": "[]",
    "Array(Enum8('x' = 1))": "[]",
    "SimpleAggregateFunction(groupArrayArray, Array(String))": "[]",
    "SimpleAggregateFunction(any, Nullable(Int32))": None,
    "SimpleAggregateFunction(anyLast, LowCardinality(Nullable(String)))": None,
    "Nullable(Tuple(a Int32, b String))": None,
    "Nullable(JSON)": None,
}
DEEP = {
    "Tuple(a Nullable(Int32), `b.c` String, d Tuple(e Date, f Enum8('q' = 1)))": (
        '{"a": 1, "b.c": "x", "d": {"e": "2026-01-31", "f": "q"}}',
        "(1,'x',('2026-01-31','q'))",
    ),
    "Array(Tuple(a String, b Array(Tuple(c Int32, d Map(String, Float64)))))": (
        '[{"a": "x", "b": [{"c": 1, "d": {"k": 1.5}}]}]',
        "[('x',[(1,{'k':1.5})])]",
    ),
}
# A type, and numbers with more digits than Float64 holds, or nearly: their texts are those of ClickHouse's JSONEachRow.
DIGITS = {
    "DateTime64(6)": {
        "1700000000.123456": "2023-11-14 22:13:20.123456",
        "9000000000.123457": "2255-03-14 16:00:00.123457",
    },
    "DateTime64(7)": {"1700000000.1234567": "2023-11-14 22:13:20.1234567"},
    "DateTime64(9, 'Europe/Berlin')": {
        "1700000000.123456789": "2023-11-14 23:13:20.123456789",
        "1700000000.000000001": "2023-11-14 23:13:20.000000001",
        "9223372036.854775807": "2262-04-12 01:47:16.854775807",
        "1.123456789": "1970-01-01 01:00:01.123456789",
    },
    "Time64(9)": {"3599999.123456789": "999:59:59.123456789", "-1.000000001": "-00:00:01.000000001"},
    "Array(DateTime64(9))": {"[1700000000.123456789]": "['2023-11-14 22:13:20.123456789']"},
    "Nullable(DateTime64(9))": {"1700000000.123456789": "2023-11-14 22:13:20.123456789"},
    "Array(Decimal(38, 20))": {
        "[123456789012345678.12345678901234567891]": "[123456789012345678.12345678901234567891]"
    },
    "Map(String, Tuple(Decimal(38, 20)))": {'{"k": [1.12345678901234567891]}': "{'k':(1.12345678901234567891)}"},
    "Decimal(38, 20)": {"123456789012345678.12345678901234567891": "123456789012345678.12345678901234567891"},
}
TYPES = (*INTEGERS, *SECONDS, *MISSING, *DEEP, *DIGITS)


@pytest.fixture(scope="module")
def edges(instance: Instance) -> Iterator[Workspace]:
    workspace = instance.workspaces.create("edges")
    schema = "SCHEMA >\n    id UInt32 `json:$.id`,\n    v {} `json:$.v`\n\nENGINE_SORTING_KEY id\n"
    workspace.deploy({f"e{n}.datasource": schema.format(type_) for n, type_ in enumerate(TYPES)})
    yield workspace
    instance.workspaces.delete(workspace)


def stored(workspace: Workspace, path: Path, type_: str, values: Mapping[str, Any], way: str) -> dict[str, Any]:
    """Send values (JSON, or with `csv` fields); return what each is stored as, or "refused"."""
    name = f"e{TYPES.index(type_)}"
    workspace.data.truncate(name)
    workspace.data.truncate(f"{name}_quarantine")
    lines = [f'{{"id":{number},"v":{value}}}' for number, value in enumerate(values)]
    if way == "events":
        workspace.data.submit(name, lines_of("\n".join(lines).encode())).result()
    else:
        out = io.StringIO()
        csv.writer(out).writerows([("id", "v"), *enumerate(values)])
        file = path / f"file.{way}"
        file.write_text("\n".join(lines) if way == "ndjson" else out.getvalue(), encoding="utf-8")
        source = workspace.queries.live().compiled.data_sources[name]
        with read_file(file, way, source, Dialect()) as rows:
            workspace.append(name, rows)
    found = {row["id"]: row["text"] for row in workspace.sql(f"SELECT id, toString(v) AS text FROM {name}")}
    kept = {int(row["id"]) for row in workspace.sql(f"SELECT id FROM {name}_quarantine")}
    assert not kept & found.keys()
    return {value: found.get(n, "refused" if n in kept else "lost") for n, value in enumerate(values)}


@pytest.mark.parametrize("way", ["events", "ndjson", "csv"])
@pytest.mark.parametrize("type_", INTEGERS)
def test_no_integer_overflows(edges: Workspace, tmp_path: Path, type_: str, way: str) -> None:
    low, high = INTEGERS[type_]
    inside, outside = (low, low + 1, high - 1, high), (low - 1, high + 1, high * 10, -high - 2, high**2)
    wanted = {str(number): str(number) for number in inside} | dict.fromkeys(map(str, outside), "refused")
    assert stored(edges, tmp_path, type_, wanted, way) == wanted


@pytest.mark.parametrize("way", ["events", "ndjson", "csv"])
@pytest.mark.parametrize("type_", SECONDS)
def test_a_number_is_seconds_in_a_time_of_day(edges: Workspace, tmp_path: Path, type_: str, way: str) -> None:
    wanted = {number: text or "refused" for number, text in SECONDS[type_].items()}
    assert stored(edges, tmp_path, type_, wanted, way) == wanted


@pytest.mark.parametrize("way", ["events", "ndjson", "csv"])
@pytest.mark.parametrize("type_", DIGITS)
def test_every_digit_is_kept(edges: Workspace, tmp_path: Path, type_: str, way: str) -> None:
    assert stored(edges, tmp_path, type_, DIGITS[type_], way) == DIGITS[type_]


@pytest.mark.parametrize("way", ["events", "ndjson", "csv"])
@pytest.mark.parametrize("type_", MISSING)
def test_no_value(edges: Workspace, tmp_path: Path, type_: str, way: str) -> None:
    value = "\\N" if way == "csv" else "null"
    assert stored(edges, tmp_path, type_, {value: None}, way) == {value: MISSING[type_]}


@pytest.mark.parametrize("way", ["events", "ndjson", "csv"])
@pytest.mark.parametrize("type_", DEEP)
def test_tuples_within_tuples(edges: Workspace, tmp_path: Path, type_: str, way: str) -> None:
    value, text = DEEP[type_]
    ways = [value, json.dumps(json.loads(value), separators=(",", ":"))]
    wanted = dict.fromkeys([*ways, text] if way == "csv" else ways, text) | {"{}": "refused"}
    assert stored(edges, tmp_path, type_, wanted, way) == wanted


# A type, and a value of it as JSON: an endpoint writes it to CSV in several columns.
SPREAD = {
    "Tuple(a Int32, b String)": '{"a": 1, "b": "x, \\"y\\" [1]"}',
    "Tuple(Int32, Nullable(String))": "[1, null]",
    "Tuple(a Tuple(c Int8, d Nullable(Int8)), b Array(String))": '{"a": {"c": 1, "d": null}, "b": ["x", "it\'s"]}',
    "Tuple(m Map(String, Decimal(38, 20)), t DateTime64(9), e Enum8('q' = 1), f Bool)": (
        '{"m": {"k": "1.12345678901234567891"}, "t": "2026-01-31 12:00:00.123456789", "e": "q", "f": true}'
    ),
    "Tuple(j JSON, u UUID)": '{"j": {"k": [1, "x"]}, "u": "61f0c404-5cb3-11e7-907b-a6006ad3dba0"}',
    "Point": "[1.5, -2]",
    "Nested(a String, b Nullable(Int32))": '[{"a": "x", "b": 1}, {"a": "y", "b": null}]',
    "Nested(a Array(Int8))": '[{"a": [1, 2]}, {"a": []}]',
    "Nullable(Tuple(a Int32))": '{"a": 1}',
}


def require_round_trip(instance: Instance, path: Path, type_: str, values: list[str], way: str) -> None:
    """Require that values (JSON), exported to a file and appended to another data source, are the same there."""
    schema = f"SCHEMA >\n    id UInt32 `json:$.id`,\n    v {type_} `json:$.v`\n\nENGINE_SORTING_KEY id\n"
    workspace = instance.workspaces.create("round_trip")
    try:
        workspace.deploy({"first.datasource": schema, "second.datasource": schema})
        lines = "".join(f'{{"id": {n}, "v": {value}}}\n' for n, value in enumerate(values))
        assert workspace.data.submit("first", lines_of(lines.encode())).result().successful_rows == len(values)
        file = path / f"file.{way}"
        file.write_bytes(workspace.select("SELECT * FROM first ORDER BY id", way))
        with read_file(file, way, workspace.queries.live().compiled.data_sources["second"], Dialect()) as rows:
            result = workspace.append("second", rows)
        assert (result.successful_rows, result.quarantined_rows) == (len(values), 0)
        both = [workspace.select(f"SELECT * FROM {name} ORDER BY id", "csv") for name in ("first", "second")]
        assert both[0] == both[1]
    finally:
        instance.workspaces.delete(workspace)


NESTED = {
    **{type_: values for type_, values in SPREAD.items() if type_.startswith("Nested")},
    "Nested(a Decimal(38, 20), b UInt64, c Nullable(DateTime64(9)))": (
        '[{"a": "1.12345678901234567891", "b": 18446744073709551615, "c": "2026-01-31 12:00:00.123456789"}, '
        '{"a": "0", "b": 0, "c": null}]'
    ),
    "Nested(a JSON, b UUID)": '[{"a": {"k": [1, "x"]}, "b": "61f0c404-5cb3-11e7-907b-a6006ad3dba0"}]',
}


@pytest.mark.parametrize("type_", SPREAD)
def test_a_tuple_that_was_written_to_csv_comes_back(instance: Instance, tmp_path: Path, type_: str) -> None:
    require_round_trip(instance, tmp_path, type_, [SPREAD[type_]], "csv")


@pytest.mark.parametrize("way", ["csv", "ndjson", "parquet"])
@pytest.mark.parametrize("type_", NESTED)
def test_a_nested_comes_back(instance: Instance, tmp_path: Path, type_: str, way: str) -> None:
    """Endpoints write a Nested as a column for each field: `v.a`, `v.b`."""
    if way != "parquet" or "JSON" not in type_:  # which ClickHouse does not write to Parquet
        require_round_trip(instance, tmp_path, type_, [NESTED[type_], "[]"], way)


def test_fields_of_a_tuple_that_do_not_fit(instance: Instance, tmp_path: Path) -> None:
    schema = (
        "SCHEMA >\n    id UInt32 `json:$.id`,\n    v Tuple(a Int8, b String) `json:$.v`,\n"
        "    n Nested(a Int8, b Int8) `json:$.n`\n\nENGINE_SORTING_KEY id\n"
    )
    workspace = instance.workspaces.create("spread")
    try:
        workspace.deploy({"first.datasource": schema})
        rows_ = '1,1,x,[1],[2]\n2,300,x,[],[]\n3,,x,[],[]\n4,1,x,"[1,2]",[1]\n5,2,y,,\n'
        (tmp_path / "file.csv").write_text(f"id,v.a,v.b,n.a,n.b\n{rows_}")
        source = workspace.queries.live().compiled.data_sources["first"]
        with read_file(tmp_path / "file.csv", "csv", source, Dialect()) as rows:
            result = workspace.append("first", rows)
        assert (result.successful_rows, result.quarantined_rows) == (2, 3)
        found = workspace.sql("SELECT id, toString(v) AS v, toString(n.a) AS a FROM first ORDER BY id")
        assert found == [{"id": 1, "v": "(1,'x')", "a": "[1]"}, {"id": 5, "v": "(2,'y')", "a": "[]"}]
        (tmp_path / "part.csv").write_text("id,v.a\n6,1\n")
        with read_file(tmp_path / "part.csv", "csv", source, Dialect()) as rows:
            assert rows.layout is None or "v.a" not in rows.layout.fields
            told = workspace.append("first", rows)
        assert told.quarantined_rows + told.successful_rows == 1
    finally:
        instance.workspaces.delete(workspace)


# A type, and values of it as JSON, which an endpoint writes to Parquet.
PARQUET = {
    **{type_: [str(low), str(high), "0", "42"] for type_, (low, high) in INTEGERS.items()},
    "Nullable(Int128)": ["null", "-7"],
    "FixedString(16)": ['"0123456789012345"', '"a"'],
    "Decimal(76, 20)": ['"1.12345678901234567891"'],
    "IPv4": ['"1.2.3.4"'],
    "IPv6": ['"::1"'],
    "UUID": ['"61f0c404-5cb3-11e7-907b-a6006ad3dba0"'],
    "Enum8('q' = 1, 'r' = -5)": ['"r"'],
    "Date": ['"2149-06-06"'],
    "Date32": ['"1900-01-01"', '"2299-12-31"'],
    "DateTime64(9)": ["1700000000.123456789"],
    "Bool": ["true"],
    "Map(String, Array(UInt8))": ['{"k": [1, 2]}'],
    "Tuple(a Int32, b Nullable(String))": ['{"a": 1, "b": null}'],
    "Array(Tuple(a String, b Date))": ['[{"a": "x", "b": "2026-01-31"}]'],
}


@pytest.mark.parametrize("type_", PARQUET)
def test_what_was_written_to_parquet_comes_back(instance: Instance, tmp_path: Path, type_: str) -> None:
    require_round_trip(instance, tmp_path, type_, PARQUET[type_], "parquet")


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("String", "v"),
        ("Array(String)", "[v]"),
        ("Map(String, String)", "map('k', v)"),
        ("Tuple(a String)", "CAST(tuple(v), 'Tuple(a String)')"),
    ],
)
def test_bytes_of_a_parquet_file_are_stored_or_refused_never_replaced(
    instance: Instance, tmp_path: Path, type_: str, value: str
) -> None:
    """The Map makes all rows go as JSON lines, which have to be UTF-8."""
    workspace = instance.workspaces.create("bytes")
    try:
        schema = f"SCHEMA >\n    v {type_},\n    m Map(String, Int32)\n\nENGINE_SORTING_KEY tuple()\n"
        workspace.deploy({"first.datasource": schema})
        texts = "SELECT arrayJoin(['fine', 'é', unhex('E974E9'), unhex('00FFFE')]) AS v"
        rows_ = f"SELECT {value} AS v, map('k', 1) AS m FROM ({texts})"
        (tmp_path / "file.parquet").write_bytes(workspace.select(rows_, "parquet"))
        source = workspace.queries.live().compiled.data_sources["first"]
        with read_file(tmp_path / "file.parquet", "parquet", source, Dialect()) as rows:
            result = workspace.append("first", rows)
        assert (result.successful_rows, result.quarantined_rows) == (2, 2)
        found = workspace.sql("SELECT position(toString(v), '\ufffd') AS n FROM first")
        assert found == [{"n": 0}, {"n": 0}]
    finally:
        instance.workspaces.delete(workspace)


@pytest.mark.parametrize(
    "type_", [type_ for type_ in DIGITS if "Decimal" in type_ or "Array" in type_ or "64(9)" in type_]
)
def test_a_replay_of_the_quarantine_keeps_every_digit(instance: Instance, type_: str) -> None:
    schema = f"SCHEMA >\n    n {{}} `json:$.n`,\n    v {type_} `json:$.v`\n\nENGINE_SORTING_KEY n\n"
    workspace = instance.workspaces.create("replay")
    try:
        workspace.deploy({"e.datasource": schema.format("UInt8")})
        lines = "".join(f'{{"n": "{n} more", "v": {value}}}\n' for n, value in enumerate(DIGITS[type_]))
        assert workspace.data.submit("e", lines_of(lines.encode())).result().quarantined_rows == len(DIGITS[type_])
        workspace.deploy({"e.datasource": schema.format("String")}, allow_destructive=True)
        job = workspace.data.replay_quarantine("e")
        workspace._services.jobs.wait(job.id)
        found = [row["v"] for row in workspace.sql("SELECT toString(v) AS v FROM e ORDER BY n")]
        assert found == list(DIGITS[type_].values())
    finally:
        instance.workspaces.delete(workspace)
