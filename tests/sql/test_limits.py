"""Limits in SETTINGS clauses: what ClickHouse reads of the text that is given back is never more than the query's."""

from __future__ import annotations

import pytest

from clickpipe.engine import Engine, EngineError
from clickpipe.sql import within_limits

LIMITS = {"max_result_bytes": 1000, "max_execution_time": 10}
VALUES = ["0", "-0", "'0'", "0x0", "DEFAULT", "1e9", "1_000_000", "'10G'", "1001", "1000", "7", "'7'", "1e2"]
BEFORE = [
    "",
    "max_threads = 1, ",
    "optimize_read_in_order, ",
    "`max_threads` = 1,",
    "/* x */ max_block_size=5, log_comment=$$SETTINGS max_result_bytes = 0$$, ",
    "max_execution_time = 0.5, ",
]


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("value", VALUES)
def test_what_clickhouse_takes(engine: Engine, value: str, before: str) -> None:
    sql = f"SELECT getSetting('max_result_bytes'), '= 0' AS settings SETTINGS {before}max_result_bytes = {value}"
    changed = within_limits(sql, LIMITS)
    asked, found = (int(engine.execute(text, output="TSVRaw").body.split(b"\t")[0]) for text in (sql, changed))
    assert found == (asked if 0 < asked <= 1000 else 1000)
    assert within_limits(changed, LIMITS) == changed
    if 0 < asked <= 1000 and "0x" not in value:
        assert changed == sql


@pytest.mark.parametrize("value", ["0.5", "'0.9'", "0.999999", "1e-3", "5e-1"])
def test_what_clickhouse_takes_for_none(engine: Engine, value: str) -> None:
    sql = within_limits(f"SELECT getSetting('max_result_bytes') SETTINGS max_result_bytes = {value}", LIMITS)
    assert sql.endswith("= 1000")
    assert engine.execute(sql, output="TSVRaw").body == b"1000\n"


@pytest.mark.parametrize(
    ("value", "kept"), [("0.5", "0.5"), ("2", "2"), ("0.0000001", "10"), ("11", "10"), ("0", "10")]
)
def test_seconds_may_be_parts_of_one(engine: Engine, value: str, kept: str) -> None:
    changed = within_limits(f"SELECT 1 SETTINGS max_execution_time = {value}", {"max_execution_time": 10})
    assert changed == f"SELECT 1 SETTINGS max_execution_time = {kept}"
    sql = changed.replace("SELECT 1", "SELECT count() FROM numbers(100000000000)")
    if float(kept) < 1:
        with pytest.raises(EngineError, match="Timeout"):
            engine.execute(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 AS settings, 0 AS max_result_bytes WHERE max_result_bytes = 0",
        "SELECT 'SETTINGS max_result_bytes = 0'",
        "SELECT 1 SETTINGS max_threads = 0, max_block_size = 5",
        "SELECT settings FROM (SELECT 1 AS settings)",
        "SELECT 1 -- SETTINGS max_result_bytes = 0",
        "SELECT 1 SETTINGS max_result_rows = 0",
    ],
)
def test_what_stays(sql: str) -> None:
    assert within_limits(sql, LIMITS) == sql
    assert within_limits("SELECT 1 SETTINGS max_result_bytes = 0", {}) == "SELECT 1 SETTINGS max_result_bytes = 0"


@pytest.mark.parametrize(
    "sql",
    [
        "(SELECT * FROM numbers(5) SETTINGS max_result_bytes = 0) UNION ALL "
        "(SELECT * FROM numbers(9999) SETTINGS max_result_bytes = 0)",
        "SELECT * FROM (SELECT * FROM numbers(9999) SETTINGS max_result_bytes = 0) SETTINGS max_result_bytes = 0",
        "SELECT * FROM numbers(9999) SETTINGS max_result_bytes = 99999, max_result_bytes = 100000",
    ],
)
def test_a_result_that_is_too_long(engine: Engine, sql: str) -> None:
    with pytest.raises(EngineError, match="max bytes: 1000"):
        engine.execute(within_limits(sql, LIMITS), settings=LIMITS)
