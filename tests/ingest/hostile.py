"""Column types, and JSON values that are hard on them: written by hand, and made from those."""

from __future__ import annotations

import random
from collections.abc import Iterator

TYPES = (
    "String",
    "Nullable(String)",
    "LowCardinality(String)",
    "LowCardinality(Nullable(String))",
    "FixedString(3)",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "Int128",
    "Int256",
    "UInt8",
    "UInt16",
    "UInt32",
    "UInt64",
    "UInt128",
    "UInt256",
    "Nullable(Int32)",
    "Float32",
    "Float64",
    "BFloat16",
    "Nullable(Float64)",
    "Decimal(9, 2)",
    "Decimal(18, 6)",
    "Decimal(38, 20)",
    "Decimal256(40)",
    "Bool",
    "Nullable(Bool)",
    "Date",
    "Date32",
    "DateTime",
    "DateTime('Europe/Berlin')",
    "DateTime64(0)",
    "DateTime64(3)",
    "DateTime64(9, 'UTC')",
    "Nullable(DateTime)",
    "Time",
    "Time64(3)",
    "UUID",
    "IPv4",
    "IPv6",
    "Enum8('a' = 1, 'b' = 2, '3' = 7)",
    "Nullable(Enum16('a' = 1, 'it''s' = 300))",
    "SimpleAggregateFunction(max, Int32)",
    "SimpleAggregateFunction(groupArrayArray, Array(Int32))",
    "Array(Int32)",
    "Array(Nullable(Int32))",
    "Array(String)",
    "Array(Array(Float64))",
    "Array(Decimal(38, 20))",
    "Array(DateTime64(3))",
    "Array(LowCardinality(String))",
    "Array(Tuple(a Int32, b Nullable(String)))",
    "Map(String, Int32)",
    "Map(String, Decimal(38, 20))",
    "Map(String, Array(String))",
    "Map(UInt16, String)",
    "Map(LowCardinality(String), Nullable(Float64))",
    "Tuple(Int32, String)",
    "Tuple(a Int32, b String)",
    "Tuple(a Int32, `b c` Tuple(x Array(Decimal(20, 5)), y Nullable(Bool)))",
    "JSON",
    "Nullable(JSON)",
    "JSON(a UInt32, SKIP z)",
    "JSON(max_dynamic_paths=1, b.c String, SKIP REGEXP '^k')",
    "Array(JSON)",
    "Map(String, JSON)",
    "Tuple(a JSON, b Int32)",
    "Dynamic",
    "Array(Dynamic)",
    "Variant(String, Int64)",
    "Variant(Int64, Array(Int64))",
    "Variant(Bool, Float64, Array(String))",
    "Variant(UInt8, Tuple(a Int32, b String))",
    "Array(Variant(String, Int64))",
    "Nested(a String, b Int32)",
    "Point",
    "Ring",
    "LineString",
    "MultiLineString",
    "Polygon",
    "MultiPolygon",
)

NUMBERS = (
    "0", "-0", "1", "-1", "3", "7", "12", "127", "128", "255", "256", "300", "1970", "2024", "32768", "86400",
    "99999999", "20240131", "1714558830", "2147483648", "4294967295", "4294967296", "1714558830123", "1714558830123456",
    "1714558830123456789", "9007199254740993", "9223372036854775807", "9223372036854775808", "18446744073709551615",
    "18446744073709551616", "-9223372036854775809", "123456789012345678901234567890", "0.1", "1.0", "1.5", "-1.5",
    "2.50", "0.5", "1e3", "1E-2", "1.5e300", "1e400", "-1e-400", "3.4028236e38", "1.10", "12345678901234567.8912345678",
    "1.00000000000000000001", "0.30000000000000000004", "99999999999999999999.99999999999999999999", "1.005", "1.999",
    "253402300800", "-62135596800", "0.123456789",
)  # fmt: skip
STRINGS = (
    '""', '" "', '"a"', '"b"', '"c"', '"it\'s"', '"abc"', '"abcd"', '"üöä"', '"0"', '"1"', '"-1"', '"12"', '"300"',
    '" 12"', '"12 "', '"+5"', '"0x10"', '"1_000"', '"1,5"', '"1.5"', '"1.0"', '"1e3"', '"nan"', '"NaN"', '"inf"',
    '"-inf"', '"null"', '"NULL"', '"\\\\N"', '"true"', '"True"', '"FALSE"', '"yes"', '"no"', '"on"', '"t"', '"2024"',
    '"20240131"', '"202401"', '"20240131120000"', '"1714558830"', '"1714558830123"', '"2026-01-31"', '"2026-1-5"',
    '"2026-02-31"', '"2026-13-01"', '"0000-00-00"', '"0000-00-00 00:00:00"', '"0001-01-01 00:00:00"', '"1900-01-01"',
    '"2299-12-31 23:59:59"', '"2300-01-01 00:00:00"', '"9999-12-31"', '"1969-12-31 23:59:59"',
    '"2026-01-31 12:00:00"', '"2026-01-31 12:00:00.123456789"', '"2026-01-31T12:00:00Z"', '"2026-01-31T12:00:00+02:00"',
    '"2026-01-31 24:00:00"', '"2026-01-31 12:60:00"', '"2026-01-31 12:00"', '"31/01/2026"', '"01/31/2026"',
    '"Jan 31 2026"', '"31 Jan 2026 12:00:00"', '"Sat, 31 Jan 2026 12:00:00 GMT"', '"12:00:00"', '"12:00"', '"Jan 5"',
    '"12:30:00 -0200"', '"yesterday"', '"2149-06-07"', '"2106-02-07 06:28:16"', '"2026-10-25 02:30:00"',
    '"61f0c404-5cb3-11e7-907b-a6006ad3dba0"', '"61f0c4045cb311e7907ba6006ad3dba0"',
    '"{61f0c404-5cb3-11e7-907b-a6006ad3dba0}"', '"61f0c404-5cb3-11e7-907b"', '"10.0.0.1"', '"10.0.0.256"', '"1.2.3"',
    '"::1"', '"::ffff:1.2.3.4"', '"2001:db8::g"', '"tab\\tnew\\nline\\u0000\\u00fc\\ud83d\\ude00"', '"[1,2]"', '"[]"',
    '"{\\"a\\":1}"', '"{}"', '"[\'a\']"', '"a\\"b"', '"12345678901234567.8912345678"', '"1.00000000000000000001"',
)  # fmt: skip
OTHERS = (
    "true", "false", "null", "[]", "{}", "[1]", "[1,2]", "[1,2,3]", '[1,"b"]', '[1,"b",2]', "[1.5,2]", "[1,2.5]",
    '["x"]', '["a","b"]', "[null]", "[1,null]", "[[1,2],[3]]", "[[]]", "[true,false]", '[{"a":1}]',
    '[{"a":"x","b":1},{"a":"y","b":2}]', '[{"a":1,"b":"s"}]', '[{"a":1,"a":2,"keep":1}]',
    '[{"a.b":1,"a":{"b":2},"keep":1}]', "[[[1,2],[3,4],[5,6]]]", "[[1,2],[3,4],[5,6]]", "[[[[0,0],[1,1],[2,0]]]]",
    "[12345678901234567.8912345678, 1.00000000000000000001]", "[0, 1, 2024, 1714558830]",
    '["2026-01-31T12:00:00Z", "12:00:00"]', '{"a":1}', '{"a":"7"}', '{"a":"x"}', '{"a":1,"b":"x"}',
    '{"b":"2","a":1,"c":[]}', '{"a":null,"b":null}', '{"a":1,"a":2}', '{"a":1,"a":2,"keep":"me"}',
    '{"a.b":1,"a":{"b":2}}', '{"keep":"me","user":{"id":7},"user.id":7}', '{"a":{}}', '{"a":[]}',
    '{"a":[1,"x",null,{"b":1}]}', '{"a":[[1],[2]]}', '{"1":"a","2":"b"}', '{"x":"a"}', '{"k":1.5}',
    '{"k":12345678901234567.8912345678}', '{"k":["a",1]}', '{"k":{"a":1}}', '{"k":{"a":1,"a":2,"keep":1}}',
    '{ "a" : 1.10 , "b" : [ 1 , 2 ] }', '{"a":7,"b":1,"z":5}', '{"a":1,"b c":{"x":[1.23456,"7"],"y":true}}',
    '{"a":1,"b c":{"x":[12345678901234.56789]}}', '{"a":{"k":1},"b":2}', '{"a":true,"b":1e2}',
    '{"":1}', '{"a":{"":1}}', '{"ü":1}', '{"a":"2026-01-31","b":"2026-01-31 12:00:00"}',
)  # fmt: skip
VALUES = (*NUMBERS, *STRINGS, *OTHERS)
_KEYS = ('"a"', '"b"', '"k"', '"x"', '"b c"', '"1"', '"a.b"')


def made(seed: int) -> Iterator[str]:
    """Yield more values without end: lists and objects of the ones above."""
    rng = random.Random(seed)
    while True:
        yield _value(rng, 2)


def _value(rng: random.Random, depth: int) -> str:
    kind = rng.random()
    if depth == 0 or kind < 0.3:
        return rng.choice(VALUES) if depth else rng.choice((*NUMBERS, *STRINGS, "true", "null"))
    parts = [_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    if kind < 0.65:
        return f"[{', '.join(parts)}]"
    return "{" + ",".join(f"{rng.choice(_KEYS)}:{part}" for part in parts) + "}"
