"""ClickHouse types as values in JSON."""

from __future__ import annotations

import json

import pytest

from clickpipe.engine import Engine
from clickpipe.generate.openapi import json_schema
from clickpipe.generate.python import type_text as python_type
from clickpipe.generate.types import json_type
from clickpipe.generate.typescript import type_text as typescript_type


@pytest.mark.parametrize(
    ("type_", "typescript", "python", "schema"),
    [
        ("UInt64", "number", "int", {"type": "integer", "format": "uint64"}),
        ("Int8", "number", "int", {"type": "integer"}),
        ("Float32", "number | null", "float | None", {"type": "number", "format": "float"}),
        ("Decimal(9, 2)", "number | null", "float | None", {"type": "number"}),
        ("String", "string", "str", {"type": "string"}),
        ("FixedString(3)", "string", "str", {"type": "string"}),
        ("Bool", "boolean", "bool", {"type": "boolean"}),
        ("DateTime64(3, 'Europe/Madrid')", "string", "str", {"type": "string"}),
        ("LowCardinality(Nullable(String))", "string | null", "str | None", {"type": ["string", "null"]}),
        (
            "Array(Nullable(UInt8))",
            "(number | null)[]",
            "list[int | None]",
            {"type": "array", "items": {"type": ["integer", "null"]}},
        ),
        ("Map(String, Array(UInt8))", "Record<string, (number)[]>", "dict[str, list[int]]", None),
        ("Tuple(UInt8, String)", "[number, string]", "list[Any]", None),
        ("Tuple(a UInt8, `b c` Nullable(String))", '{ "a": number; "b c": string | null }', "dict[str, Any]", None),
        ("Nested(a UInt8, b String)", '({ "a": number; "b": string })[]', "list[dict[str, Any]]", None),
        (r"Enum8('a' = 1, 'it\'s, (b)' = -2)", '"a" | "it\'s, (b)"', "Literal['a', \"it's, (b)\"]", None),
        ("SimpleAggregateFunction(sum, UInt64)", "number", "int", {"type": "integer", "format": "uint64"}),
        ("AggregateFunction(uniq, String)", "string", "str", {"type": "string"}),
        ("JSON(max_dynamic_paths=8)", "unknown", "Any", {}),
        ("Variant(String, UInt8)", "unknown", "Any", {}),
        (
            "Nullable(Enum8('a' = 1))",
            '"a" | null',
            "Literal['a'] | None",
            {"type": ["string", "null"], "enum": ["a", None]},
        ),
    ],
)
def test_a_type_in_each_language(type_: str, typescript: str, python: str, schema: object) -> None:
    found = json_type(type_)
    assert typescript_type(found) == typescript
    assert python_type(found) == python
    assert schema is None or json_schema(found) == schema


VALUES = {
    "integer": ["toUInt64(18446744073709551615)", "toInt128(-5)", "toInt256(7)", "INTERVAL 3 DAY"],
    "number": ["1.5", "toDecimal64(1.25, 2)", "toFloat32(2.5)"],
    "string": [
        "'a'",
        "toDate('2024-01-01')",
        "now64(3)",
        "generateUUIDv4()",
        "toIPv4('127.0.0.1')",
        "toFixedString('a', 2)",
    ],
    "boolean": ["true"],
    "array": ["[1, 2]", "tuple(1, 'a')"],
    "object": ["map('a', 1)", "CAST((1, 'a'), 'Tuple(a UInt8, b String)')"],
    "null": ["CAST(NULL, 'Nullable(String)')", "nan"],
}
KINDS = {
    int: "integer",
    float: "number",
    str: "string",
    bool: "boolean",
    list: "array",
    dict: "object",
    type(None): "null",
}


@pytest.mark.parametrize(("kind", "expression"), [(k, e) for k, found in VALUES.items() for e in found])
def test_what_the_engine_prints_is_of_the_type(engine: Engine, kind: str, expression: str) -> None:
    answer = json.loads(engine.execute(f"SELECT {expression} AS x").body)
    value = answer["data"][0]["x"]
    schema = json_schema(json_type(answer["meta"][0]["type"]))
    assert KINDS[type(value)] == kind
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    assert kind in types or (kind, types) == ("null", ["number"]) or (kind, types) == ("integer", ["number"])
