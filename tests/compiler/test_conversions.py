"""What is told of values that a target alters or refuses, against what ClickHouse does with them."""

from __future__ import annotations

import json

import pytest

from clickpipe.compiler.conversions import conversion, mended
from clickpipe.engine import Engine, EngineError

SILENT = [
    ("Int32", "Int64"), ("UInt8", "Int16"), ("UInt32", "Int64"), ("Bool", "UInt8"), ("Int32", "Nullable(Int32)"),
    ("String", "LowCardinality(String)"), ("LowCardinality(String)", "String"), ("Int64", "Float64"),
    ("Int8", "String"),
    ("FixedString(3)", "FixedString(5)"), ("FixedString(3)", "String"), ("Date", "DateTime"),
    ("DateTime", "DateTime64(3)"),
    ("DateTime64(3)", "DateTime64(6)"), ("Date", "Date32"), ("Enum8('a' = 1)", "Enum16('a' = 7, 'b' = 2)"),
    ("Enum8('a' = 1)", "String"), ("Decimal(9, 2)", "Decimal(18, 4)"), ("Int32", "Decimal(18, 2)"),
    ("Array(Int32)", "Array(Int64)"), ("Nothing", "Int8"), ("UUID", "UUID"), ("Nullable(Int32)", "Nullable(Int64)"),
    ("UInt64", "SimpleAggregateFunction(sum, UInt64)"), ("AggregateFunction(count)", "AggregateFunction(count)"),
    ("Map(String, UInt8)", "Map(String, UInt16)"), ("Tuple(UInt8, String)", "Tuple(UInt16, String)"),
    ("Decimal(9, 2)", "Float64"), ("Tuple(a UInt8, b String)", "Tuple(b String, a UInt16)"), ("UInt32", "DateTime"),
    ("Tuple(a UInt8, b String)", "Tuple(UInt16, String)"), ("Enum8('a' = 1)", "Int8"), ("Float32", "Float64"),
    ("UInt16", "Date"), ("IPv4", "IPv6"), ("JSON", "String"), ("Dynamic", "String"),
    ("Variant(Int64, String)", "String"),
]  # fmt: skip
LOSSY = [  # given, target, a value, what is told; the value is another one then, or refused
    ("Int64", "Int32", "5000000000", "values outside Int32 wrap"),
    ("Int64", "UInt32", "-1", "values outside UInt32 wrap"),
    ("UInt64", "Int64", "18446744073709551615", "values outside Int64 wrap"),
    ("Int64", "SimpleAggregateFunction(sum, Int32)", "5000000000", "values outside Int32 wrap"),
    ("Float64", "Int32", "1.5", "fractions are lost, and large values wrap"),
    ("Nullable(Float64)", "Float64", "NULL", "a row with a NULL is refused"),
    ("LowCardinality(Nullable(String))", "LowCardinality(String)", "NULL", "a row with a NULL is refused"),
    ("Nullable(Int64)", "Int32", "NULL", "a row with a NULL is refused, and values outside Int32 wrap"),
    ("String", "UInt32", "'bad'", "a row with a string that cannot be converted is refused"),
    ("String", "Float64", "'bad'", "a row with a string that cannot be converted is refused"),
    ("String", "Date", "'bad'", "a row with a string that cannot be converted is refused"),
    ("String", "UUID", "'bad'", "a row with a string that cannot be converted is refused"),
    ("String", "Enum8('a' = 1)", "'bad'", "a row with a string that is not one of its values is refused"),
    ("String", "Nullable(Enum8('a' = 1))", "'bad'", "a row with a string that is not one of its values is refused"),
    ("Nullable(String)", "Enum8('it\\'s' = 1)", "'bad'", "a row with a NULL is refused, and a row with a string that"),
    ("String", "FixedString(2)", "'bad'", "a row with a string of more than 2 bytes is refused"),
    ("FixedString(3)", "FixedString(2)", "'bad'", "a row with a string of more than 2 bytes is refused"),
    ("Enum8('a' = 1, 'b' = 2)", "Enum8('a' = 1)", "'b'", "a row with 'b' is refused"),
    ("DateTime64(3)", "DateTime64(0)", "'2025-01-01 10:00:00.5'", "finer fractions of a second are lost"),
    ("DateTime64(3)", "DateTime", "'2025-01-01 10:00:00.5'", "fractions of a second are lost, and years"),
    ("DateTime", "Date", "'2025-01-01 10:00:00'", "the time of day is lost"),
    ("Date32", "Date", "'1950-01-01'", "days before 1970 or after 2149 wrap"),
    ("Decimal(18, 4)", "Decimal(18, 2)", "1.2345", "further digits are lost"),
    ("Decimal(18, 2)", "Decimal(9, 2)", "12345678901.25", "a row with a larger value is refused"),
    ("Decimal(9, 2)", "Int32", "1.25", "fractions are lost, and large values wrap"),
    ("Float64", "Decimal(9, 2)", "1.23456", "further digits are lost"),
    ("Int64", "Decimal(9, 2)", "5000000000", "a row with a larger value is refused"),
    ("Array(Int64)", "Array(Int32)", "[5000000000]", "values outside Int32 wrap"),
    ("Array(Array(Int64))", "Array(Array(Int32))", "[[5000000000]]", "values outside Int32 wrap"),
    ("Tuple(a Array(Int64), b Int8)", "Tuple(a Array(Int8), b Int8)", "([500], 1)", "values outside Int8 wrap"),
    ("Array(Nullable(Int8))", "Array(Int8)", "[NULL]", "a row with a NULL is refused"),
    ("Map(String, Int64)", "Map(String, Int32)", "map('a', 5000000000)", "values outside Int32 wrap"),
    ("Tuple(a Int64, b Int8)", "Tuple(a Int32, b Int8)", "(5000000000, 1)", "values outside Int32 wrap"),
    ("Tuple(a Int8, b Int64)", "Tuple(b Int32, a Int8)", "(1, 5000000000)", "values outside Int32 wrap"),
    ("Tuple(Int64)", "Tuple(a Int32)", "tuple(5000000000)", "values outside Int32 wrap"),
    ("Array(Tuple(a Nullable(Int8)))", "Array(Tuple(a Int8))", "[tuple(NULL)]", "a row with a NULL is refused"),
    ("Float64", "Float32", "1e300", "digits are lost, and large values become infinite"),
    ("IPv6", "IPv4", "'2001:db8::1'", "a row with an address that is not IPv4 is refused"),
    ("String", "JSON", "'bad'", "a row with a string that is not a JSON object is refused"),
    ("Enum16('a' = 300)", "Int8", "'a'", "values outside Int8 wrap"),
    ("Int64", "DateTime", "5000000000", "values outside DateTime wrap"),
    ("Int32", "Date", "1769904001", "numbers outside the days of a Date are read as Unix times"),
    ("Dynamic", "Int32", "'bad'", "a row with a value that cannot be converted is refused"),
    ("Variant(Int64, String)", "Int64", "'bad'", "a row with a value that cannot be converted is refused"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "target"), SILENT)
def test_what_fits_is_silent(given: str, target: str) -> None:
    assert conversion(given, target) == ""


@pytest.mark.parametrize(("given", "target", "value", "told"), LOSSY)
def test_what_is_lost_is_told_and_is_lost(engine: Engine, given: str, target: str, value: str, told: str) -> None:
    assert conversion(given, target).startswith(told)
    plain = target.partition(", ")[2].rstrip(")") if target.startswith("Simple") else target
    engine.execute("CREATE DATABASE IF NOT EXISTS lossy ENGINE = Memory")
    for name, type_ in (("source", given), ("target", plain)):
        engine.execute(f"DROP TABLE IF EXISTS lossy.{name}")
        engine.execute(f"CREATE TABLE lossy.{name} (v {type_}) ENGINE = Memory")
    engine.execute(f"INSERT INTO lossy.source SELECT CAST({value}, {quoted(given)})")
    try:
        settings: dict[str, str | int] = {"insert_null_as_default": 0}
        engine.execute("INSERT INTO lossy.target SELECT v FROM lossy.source", settings=settings)
    except EngineError:
        return
    sql = "SELECT toString((SELECT v FROM lossy.source)), toString((SELECT v FROM lossy.target))"
    ((before, after),) = json.loads(engine.execute(sql, output="JSONCompact").body)["data"]
    assert before != after


@pytest.mark.parametrize(("given", "target", "value"), [case[:3] for case in LOSSY])
def test_what_is_to_be_written_instead_runs_and_fits(engine: Engine, given: str, target: str, value: str) -> None:
    sql = f"SELECT {mended('v', given, target)} AS v FROM (SELECT CAST({value}, {quoted(given)}) AS v)"
    (column,) = engine.describe(sql)
    assert engine.execute(sql, output="JSONCompact").body
    assert conversion(column.type, target) == ""


def quoted(text: str) -> str:
    return "'" + text.replace("'", "\\'") + "'"
