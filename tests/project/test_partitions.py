"""Partition keys that make very many partitions are warned of, with the number; others are not."""

from __future__ import annotations

import pytest

from clickpipe.diagnostics import Severity
from tests.conftest import Compile

SCHEMA = "SCHEMA >\n    id UUID,\n    tenant LowCardinality(String),\n    n UInt64,\n    at DateTime64(3)\n"


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("at", "'at' creates one per moment: up to 31,536,000 a year"),
        ("id", "'id' creates one per value of a UUID"),
        ("toStartOfHour(at)", "'toStartOfHour(at)' creates 8,760 a year"),
        ("(toYYYYMM(at), toStartOfMinute(at))", "'toStartOfMinute(at)' creates 525,600 a year"),
        ("tuple(tenant, cityHash64(id))", "'cityHash64(id)' creates one per value"),
        ("toYYYYMM(at), `id`", "'`id`' creates one per value of a UUID"),
        ("toYYYYMM(at)", ""),
        ("toDate(at)", ""),
        ("(tenant, toYYYYMMDD(at))", ""),
        ("n % 16", ""),
        ("cityHash64(id) % 16", ""),
        ("cityHash64(id) % 16 + intDiv(n, 1000)", ""),
        ("tuple()", ""),
        ("", ""),
    ],
)
def test_keys(key: str, told: str, compile_files: Compile) -> None:
    partition = f"ENGINE_PARTITION_KEY {key}\n" if key else ""
    compiled = compile_files({"events.datasource": f"{SCHEMA}{partition}ENGINE_SORTING_KEY id\n"})
    found = [d for d in compiled.diagnostics if d.code == "CP1207"]
    assert [d.message.partition(": ")[2] for d in found] == [told] * bool(told)
    assert all(d.severity is Severity.WARNING for d in compiled.diagnostics)
