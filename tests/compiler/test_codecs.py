"""Codecs with which ClickHouse makes a table, and then refuses rows, are found: against ClickHouse itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clickpipe.compiler.ingestible import check_codecs
from clickpipe.engine import Engine, EngineError
from clickpipe.project import load_texts

DATABASE = "of_codecs"
TYPES = (
    *("String", "UInt8", "UInt256", "Float32", "Bool", "DateTime64(3)", "Decimal(10, 2)", "UUID", "IPv6"),
    *("Nullable(Int32)", "LowCardinality(String)", "Array(Int32)", "Map(String, Int64)", "Tuple(Int8, Int32)", "Point"),
    *("JSON", "JSON(a Int32)", "Dynamic", "Array(JSON)", "Tuple(a JSON)", "Map(String, JSON)", "Array(Dynamic)"),
    *("Variant(Int64, String)", "Array(Variant(Int8, String))"),
)
CODECS = (
    *("Delta", "DoubleDelta", "Gorilla", "T64", "FPC", "GCD", "Delta, ZSTD", "T64, LZ4", "ZSTD(3)", "LZ4HC", "NONE"),
)


@pytest.fixture(scope="module")
def database(engine: Engine) -> Iterator[str]:
    engine.execute(f"CREATE DATABASE {DATABASE}")
    yield DATABASE
    engine.execute(f"DROP DATABASE {DATABASE}")


def refusals(engine: Engine, type_: str, codec: str) -> list[str] | None:
    """Why rows are refused, of those that are; None if there can be no table."""
    table, found = f"{DATABASE}.t", []
    try:
        engine.execute(f"CREATE TABLE {table} (id UInt8, v {type_} CODEC({codec})) ENGINE = MergeTree ORDER BY id")
    except EngineError:
        return None
    try:
        for value in ("DEFAULT", """'{"a": 1}'""", "'x'", "1"):
            try:
                engine.execute(f"INSERT INTO {table} VALUES (1, {value})")
            except EngineError as error:
                found += [str(error)]
    finally:
        engine.execute(f"DROP TABLE {table} SYNC")
    return [one for one in found if "odec" in one]


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("codec", CODECS)
def test_each_that_refuses_is_found(engine: Engine, codec: str) -> None:
    for type_ in TYPES:
        refused = refusals(engine, type_, codec)
        text = f"SCHEMA >\n    id UInt8,\n    v {type_} CODEC({codec})\n"
        told = check_codecs(load_texts({"t.datasource": text}).data_sources.values())
        assert told or not refused, (type_, refused)
        assert not told or refused is None or "JSON" in type_ or "Dynamic" in type_, (type_, told)
