"""Rows that are looked at as values are the rows that are inserted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clickpipe.engine import Engine
from clickpipe.ingest import numbered
from clickpipe.ingest.numbered import Prepared
from clickpipe.runtime import Instance

TABLE = "`clickpipe_staged`.`some_prepared`"
EXACT = {
    "String": r"""['', 'a,b', 'it''s', '\\N', 'a\\b\n\t\0', '(1)', 'é{x:String}', '1'')', 'VALUES SELECT']""",
    "Nullable(String)": "['a', NULL, 'NULL']",
    "Float64": "[0.1, nan, inf, -inf, 1e300, 5e-324]",
    "Float32": "[toFloat32(0.1), 16777217]",
    "Int64": "[-9223372036854775808, 9223372036854775807]",
    "UInt256": "[toUInt256('115792089237316195423570985008687907853269984665640564039457584007913129639935')]",
    "Decimal(38, 10)": "[toDecimal128('12345678901234567890.0123456789', 10)]",
    "DateTime64(9, 'UTC')": "[toDateTime64('2026-01-31 12:00:00.123456789', 9, 'UTC')]",
    "Date32": "[toDate32('1900-01-01')]",
    "UUID": "[toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')]",
    "IPv6": "[toIPv6('::1')]",
    "Enum8('a' = 1, 'it''s' = 2)": "['a', 'it''s']",
    "LowCardinality(Nullable(String))": "['a', NULL]",
    "Array(Nullable(String))": r"[['it''s', NULL, '\\'], []]",
    "Map(String, Array(Float64))": "[map('a', [nan]), map()]",
    "Tuple(a UInt8, b String)": "[(1, 'x'), (2, '')]",
    "Bool": "[true, false]",
}
LEFT_ALONE = {
    "DateTime('Europe/Berlin')": "[toDateTime(1792886400 + 1800, 'UTC'), toDateTime(1792890000 + 1800, 'UTC')]",
    "String": "[unhex('ff'), 'a']",
    "Variant(String, UInt64)": "['1', 'a']",
    "JSON": """['{"a":1}', '{}']""",
}


@pytest.fixture
def engine(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setattr(numbered, "_LOOKED_AT", 1)
    yield instance.engine
    instance.engine.execute(f"DROP TABLE IF EXISTS {TABLE}")


def prepare(engine: Engine, type_: str, values: str) -> Prepared:
    engine.execute(f"DROP TABLE IF EXISTS {TABLE}")
    engine.execute(f"CREATE TABLE {TABLE} (__row UInt64, `v` {type_}, `w'` UInt8) ENGINE = Memory")
    array = f"arrayEnumerate(CAST({values}, 'Array({type_.replace(chr(39), chr(92) + chr(39))})'))"
    if type_.startswith(("Variant", "JSON")):
        array = f"arrayEnumerate({values})"
    sql = f"SELECT 3 * n, values[n], n FROM (SELECT {values} AS values, arrayJoin({array}) AS n)"
    engine.execute(f"INSERT INTO {TABLE} {sql}", output="Null", settings={"max_threads": 1})
    return Prepared(engine, TABLE, "INSERT INTO t (`v`, `w'`")


@pytest.mark.parametrize("type_", EXACT)
def test_values_are_exact(engine: Engine, type_: str) -> None:
    rows = prepare(engine, type_, EXACT[type_])
    engine.execute("DROP TABLE IF EXISTS clickpipe_staged.into")
    engine.execute(f"CREATE TABLE clickpipe_staged.into (`v` {type_}, `w'` UInt8) ENGINE = Memory")
    for place in range(len(rows.numbers)):
        sql, settings = rows.insert(place, place + 1, "clickpipe_staged.into")
        assert " VALUES (" in sql
        engine.execute(sql, settings=settings)
    found = engine.execute(
        "SELECT hex(toString(v)), v, `w'` FROM clickpipe_staged.into ORDER BY `w'`", output="TSV"
    ).body
    wanted = engine.execute(f"SELECT hex(toString(v)), v, `w'` FROM {TABLE} ORDER BY __row", output="TSV").body
    assert found == wanted
    engine.execute("DROP TABLE clickpipe_staged.into")


@pytest.mark.parametrize("type_", LEFT_ALONE)
def test_what_a_text_does_not_tell_is_selected(engine: Engine, type_: str) -> None:
    rows = prepare(engine, type_, LEFT_ALONE[type_])
    sql, _ = rows.insert(0, 1, "clickpipe_staged.into")
    assert " SELECT * EXCEPT __row FROM " in sql
