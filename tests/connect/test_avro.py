"""Avro's binary form, as its specification says; and what is none is refused, whatever it is."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, strategies as st

from clickpipe.connect.avro import Avro, AvroError
from tests.connect.registries import long, record, text

LIST = record(("v", "int"), ("next", ["null", "R"]))
POINT = record(("x", "int"), name="P", namespace="geo")


def logical(of: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": of, "logicalType": name, **more}


@pytest.mark.parametrize(
    ("schema", "data", "value"),
    [
        ("null", b"", None),
        ("boolean", b"\1", True),
        ("int", b"\x01", -1),
        ("long", long(-(2**63)), -(2**63)),
        ("long", long(2**63 - 1), 2**63 - 1),
        ("double", struct.pack("<d", 1.5), 1.5),
        ("float", struct.pack("<f", -0.25), -0.25),
        ("string", text("é"), "é"),
        ("bytes", text(b"\xff"), "�"),
        ({"type": "string", "avro.java.string": "String"}, text("a"), "a"),
        ({"type": "fixed", "name": "F", "size": 2}, b"ab", "ab"),
        ({"type": "enum", "name": "E", "symbols": ["a", "b"]}, long(1), "b"),
        ({"type": "array", "items": "int"}, long(2) + long(1) + long(2) + long(1) + long(3) + long(0), [1, 2, 3]),
        ({"type": "array", "items": "int"}, long(-2) + long(2) + long(1) + long(2) + long(0), [1, 2]),
        ({"type": "map", "values": "string"}, long(1) + text("k") + text("v") + long(0), {"k": "v"}),
        (["null", "string", "int"], long(2) + long(7), 7),
        (LIST, long(1) + long(1) + long(2) + long(0), {"v": 1, "next": {"v": 2, "next": None}}),
        (record(("a", POINT), ("b", "geo.P")), long(1) + long(2), {"a": {"x": 1}, "b": {"x": 2}}),
        (record(("a", POINT | {"namespace": ""}), ("b", "P"), namespace="n"), long(1) + long(2), None),
        (logical("bytes", "decimal", precision=10, scale=2), text(b"\x01\x02"), "2.58"),
        (logical("bytes", "decimal", precision=10, scale=2), text(b"\xff"), "-0.01"),
        (logical("bytes", "decimal", precision=40), text(b"\x7f" + b"\xff" * 15), str(2**127 - 1)),
        (logical("int", "date"), long(20370), "2025-10-09"),
        (logical("long", "timestamp-millis"), long(1_760_000_000_123), "2025-10-09 08:53:20.123"),
        (logical("long", "timestamp-micros"), long(-1), "1969-12-31 23:59:59.999999"),
        (logical("long", "local-timestamp-millis"), long(0), "1970-01-01 00:00:00.000"),
        (logical("int", "time-millis"), long(5), 5),
        (logical("string", "uuid"), text("6f1c"), "6f1c"),
    ],
)
def test_values(schema: Any, data: bytes, value: Any) -> None:
    found = Avro(schema).read(data)
    assert value is None or found == value


@pytest.mark.parametrize(
    ("schema", "data", "told"),
    [
        ("string", long(5) + b"abc", "ends too early"),
        ("string", long(-5) + b"abc", "ends too early"),
        ("int", b"\x01\x01", "1 bytes are left over"),
        ("long", b"\xff" * 11, "too long"),
        (["null"], long(1), "no such branch"),
        (["null"], long(-1), "no such branch"),
        ({"type": "enum", "name": "E", "symbols": ["a"]}, long(1), "no such symbol"),
        ({"type": "array", "items": "null"}, long(2**40) + long(0), "more values than bytes"),
        ({"type": "array", "items": {"type": "array", "items": "null"}}, (long(90000) * 9) + long(0), "more values"),
        (logical("long", "timestamp-millis"), long(2**62), "out of range"),
        (logical("int", "date"), long(2**31 - 1), "out of range"),
        (LIST, (long(1) + long(1)) * 100_000, "out of range"),
    ],
)
def test_what_is_no_value_is_refused(schema: Any, data: bytes, told: str) -> None:
    with pytest.raises(AvroError, match=told):
        Avro(schema).read(data)


@pytest.mark.parametrize("schema", ["nothing", {"type": "record"}, {}, 5, None, [["x"]], {"type": {"type": "gone"}}])
def test_what_is_no_schema_is_refused(schema: Any) -> None:
    with pytest.raises(AvroError):
        Avro(schema)


ALL = record(
    ("a", ["null", "string", "long"]),
    ("b", {"type": "array", "items": {"type": "map", "values": "double"}}),
    ("c", logical("bytes", "decimal", precision=9, scale=3)),
    ("d", logical("long", "timestamp-micros")),
    ("e", ["null", "R"]),
)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_refused(data: bytes) -> None:
    try:
        Avro(ALL).read(data)
    except AvroError:
        return
