"""Values with types of their own: what is taken for certain to fit is stored as the same value in a JSON line is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import pytest

from clickpipe.engine import Engine
from clickpipe.ingest.body import lines_of
from clickpipe.ingest.typed import typed_columns
from clickpipe.ingest.typed_rows import TypedRows, loaded
from clickpipe.runtime import Workspace
from clickpipe.sql import quote_literal

INTEGERS = ["-9223372036854775808", "-129", "-1", "0", "1", "127", "128", "255", "256", "65536", "2147483648"]
LARGE = ["9007199254740991", "9007199254740993", "9223372036854775807", "18446744073709551615"]
TEXTS = ["''", "'a'", "'12'", "'null'", "'\\N'", "'é😀'", "'a\\tb\\n\\0c'", "' x '", "'[1]'", "'true'", "'2026-01-01'"]
FLOATS = ["0", "1.5", "-1e300", "1e-300", "0.1", "nan", "inf", "-inf", "16777217", "1/3"]
TIMES = [
    "'1900-01-01 00:00:00'", "'1969-12-31 23:59:59'", "'1970-01-01 00:00:00'", "'1970-01-01 00:00:01'",
    "'1970-01-03 00:00:00'", "'2026-03-29 02:30:00.5'", "'2026-01-01 10:00:00.987654'", "'2038-01-19 03:14:08'",
    "'2106-02-06 23:59:59.999'", "'2106-02-07 06:28:16'", "'2200-01-01 00:00:00'",
]  # fmt: skip
DAYS = ["'1900-01-01'", "'1969-12-31'", "'1970-01-01'", "'2026-01-31'", "'2149-06-06'", "'2149-06-07'", "'2299-12-31'"]
# Types of columns, a file's type, its values, and how many of them are taken as they are at least.
CASES: list[tuple[Sequence[str], str, Sequence[str], int]] = [
    (("Int8", "UInt8", "Int16", "UInt16", "Int32", "UInt32", "Int64"), "Int64", [*INTEGERS, *LARGE[:3]], 3),
    (("UInt64", "Int64", "UInt8", "Float64", "LowCardinality(Nullable(Int32))"), "UInt64", [*INTEGERS[3:], *LARGE], 3),
    (("Int16", "UInt16", "Int64", "Float64", "Nullable(Int8)"), "Int8", ["-128", "-1", "0", "127"], 2),
    (("SimpleAggregateFunction(sum, Int64)",), "Int32", ["-1", "7"], 2),
    (("Float64", "Nullable(Float64)", "SimpleAggregateFunction(max, Float64)"), "Float64", FLOATS, 10),
    (("Float32",), "Float32", ["0.1", "-1e30", "1e-30", "nan", "-inf", "16777216"], 6),
    (("String", "LowCardinality(String)", "Nullable(String)", "LowCardinality(Nullable(String))"), "String", TEXTS, 11),
    (("Enum8('a' = 1, 'true' = 2)", "Enum16('' = 0, 'é😀' = -300)"), "String", TEXTS, 2),
    (("Bool", "UInt8", "Nullable(Bool)"), "Bool", ["true", "false"], 2),
    (("UUID",), "UUID", ["'61f0c404-5cb3-11e7-907b-a6006ad3dba0'", "'00000000-0000-0000-0000-000000000000'"], 2),
    (("IPv4",), "IPv4", ["'0.0.0.0'", "'1.2.3.4'"], 2),
    (("IPv6",), "IPv6", ["'::'", "'::ffff:1.2.3.4'", "'2001:db8::1'"], 3),
    (("Date", "Date32", "Nullable(Date)"), "Date32", DAYS, 3),
    (("DateTime", "DateTime('Europe/Berlin')", "DateTime64(3)", "DateTime64(9)"), "DateTime64(6, 'UTC')", TIMES, 4),
    (("DateTime", "DateTime64(0)", "DateTime64(3, 'America/New_York')"), "DateTime64(3)", TIMES, 4),
    (("DateTime64(6)", "Nullable(DateTime64(9))"), "DateTime64(9, 'UTC')", TIMES, 4),
    (("Decimal(18, 2)", "Decimal(20, 4)", "Decimal64(2)", "Decimal128(9)"), "Decimal(12, 2)", ["0", "-1.25", "7.1"], 3),
    (("Array(String)", "Array(LowCardinality(String))"), "Array(String)", ["[]", f"[{', '.join(TEXTS)}]"], 2),
    (("Array(String)", "Array(Nullable(String))"), "Array(Nullable(String))", ["[]", "['a', NULL]", "['b']"], 2),
    (("Array(UInt8)", "Array(Int64)"), "Array(Int32)", ["[]", "[1, 255]", "[1, 256]", "[-1]"], 2),
    (("Array(Float64)",), "Array(Float64)", ["[]", "[0.1, nan]"], 2),
    (("Array(DateTime)",), "Array(DateTime64(3, 'UTC'))", ["[]", f"[{TIMES[5]}]", f"[{TIMES[10]}]"], 2),
]


@pytest.fixture(scope="module", autouse=True)
def database(engine: Engine) -> Iterator[None]:
    engine.execute("CREATE DATABASE typed ENGINE = Memory")
    yield
    engine.execute("DROP DATABASE typed")


def deploy(workspace: Workspace, type_: str, more: str = "") -> None:
    path = "$.v[:]" if type_.startswith("Array") else "$.v"
    workspace.deploy({"e.datasource": f"SCHEMA >\n    id Int32 `json:$.id`,\n    v {type_} `json:{path}`{more}\n"})


def stored(workspace: Workspace) -> dict[int, str]:
    return {row["id"]: row["v"] for row in workspace.sql("SELECT id, toString(v) AS v FROM e ORDER BY id")}


@pytest.mark.parametrize("null", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("type_", "given", "values", "least"),
    [(type_, given, values, least) for types, given, values, least in CASES for type_ in types],
)
def test_what_fits_is_stored_as_in_a_line(
    workspace: Workspace, engine: Engine, type_: str, given: str, values: Sequence[str], least: int, *, null: bool
) -> None:
    if null and given.startswith("Array"):
        return
    given, values = (f"Nullable({given})", [*values, "NULL"]) if null else (given, values)
    deploy(workspace, type_)
    columns = typed_columns(workspace.queries.live().compiled.data_sources["e"], [("id", "Int32"), ("v", given)])
    assert columns is not None
    rows = ", ".join(f"({number}, {value})" for number, value in enumerate(values))
    block = engine.execute(
        f"SELECT id, CAST(v, {quote_literal(given)}) AS v FROM values('id Int32, v {_holding(given)}', {rows})",
        output="Native",
    ).body
    with loaded(engine, "typed", TypedRows(block, f"id Int32, v {given}", columns)) as table:
        lines = table.lines()
        name = table._table
        body = engine.execute(f"SELECT id FROM {name} WHERE {columns.fit}", output="TSV").body
        fitting = [int(number) for number in body.split()]
        some = f"(SELECT * FROM {name} WHERE {columns.fit})"
        target = workspace.queries.live().physical.tables["e"]
        engine.execute(columns.insert(some, target), output="Null")
        whole = not json.loads(engine.execute(columns.counts(name), output="JSONCompact").body)["data"][0][1]
        assert whole == (len(fitting) == len(values))
    found = stored(workspace)
    assert sorted(found) == fitting
    assert len(fitting) >= least
    engine.execute(f"TRUNCATE TABLE {target}")
    workspace.data.submit("e", lines_of(lines.data)).result()
    assert found == {number: value for number, value in stored(workspace).items() if number in found}


def _holding(given: str) -> str:
    """Return a type that holds what is cast to another."""
    texts = ("Date", "UUID", "IPv", "Decimal")
    own = given.removeprefix("Nullable(").removeprefix("Array(").removeprefix("Nullable(")
    if not own.startswith(texts) or own.startswith("Decimal"):
        return given
    inner = "Nullable(String)" if "Nullable" in given else "String"
    return f"Array({inner})" if given.startswith("Array") else inner


@pytest.mark.parametrize(
    ("type_", "given"),
    [
        ("Int32", "String"), ("Float64", "Float32"), ("Float32", "Float64"), ("Float32", "Int32"), ("String", "Int32"),
        ("Decimal(10, 2)", "Decimal(12, 2)"), ("Decimal(10, 1)", "Decimal(10, 2)"), ("FixedString(2)", "String"),
        ("DateTime", "UInt32"), ("DateTime", "String"), ("Date", "DateTime64(3)"), ("Map(String, String)", "String"),
        ("JSON", "String"), ("Tuple(a Int32)", "Tuple(a Int32)"), ("UUID", "FixedString(16)"), ("Bool", "UInt8"),
        ("Array(Array(Int8))", "Array(Array(Int8))"), ("Array(String)", "String"), ("Int256", "Int64"),
        ("String", "Array(String)"), ("Dynamic", "String"), ("Int8", "Nothing"), ("Time", "Int32"),
    ],
)  # fmt: skip
def test_what_goes_as_lines(workspace: Workspace, type_: str, given: str) -> None:
    deploy(workspace, type_)
    assert typed_columns(workspace.queries.live().compiled.data_sources["e"], [("id", "Int32"), ("v", given)]) is None


def test_columns_that_a_file_lacks(workspace: Workspace) -> None:
    more = ",\n    w Int32 DEFAULT id * 2,\n    x Nullable(String),\n    y Array(String) `json:$.y[:]`"
    deploy(workspace, "String", more)
    source = workspace.queries.live().compiled.data_sources["e"]
    assert typed_columns(source, [("id", "Int32"), ("v", "String")]) is not None
    assert typed_columns(source, [("id", "Int32")]) is None, "v has nothing to take its place"
    assert typed_columns(source, [("other", "Int32")]) is None
