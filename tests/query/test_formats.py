from __future__ import annotations

import re
import time

import pytest

from clickpipe.query import split_format_clause
from clickpipe.query.statements import _STATEMENTS


@pytest.mark.parametrize(
    ("sql", "rest", "clickhouse"),
    [
        ("SELECT 1", "SELECT 1", "JSON"),
        ("SELECT 1;", "SELECT 1", "JSON"),
        ("SELECT 1 FORMAT JSON", "SELECT 1", "JSON"),
        ("SELECT 1\nformat  jsoneachrow ;\n", "SELECT 1", "JSONEachRow"),
        ("SELECT 1 FORMAT CSVWithNames", "SELECT 1", "CSVWithNames"),
        ("SELECT 1 Format tsv;;\n", "SELECT 1", "TSV"),
        ("SELECT 'FORMAT CSV' FORMAT Markdown", "SELECT 'FORMAT CSV'", "Markdown"),
        ("SELECT 1 FORMAT CSV FORMAT JSON", "SELECT 1 FORMAT CSV", "JSON"),  # the first is refused later
        # What it does not know, or what is no clause, stays for the SQL check to see.
        ("SELECT 1 FORMAT Protobuf", "SELECT 1 FORMAT Protobuf", "JSON"),
        ("SELECT 'FORMAT CSV'", "SELECT 'FORMAT CSV'", "JSON"),
        ("SELECT format FROM t", "SELECT format FROM t", "JSON"),
        ("SELECT reformat JSON", "SELECT reformat JSON", "JSON"),
        ("SELECT 1 FORMAT JSON SETTINGS x = 1", "SELECT 1 FORMAT JSON SETTINGS x = 1", "JSON"),
        ("", "", "JSON"),
    ],
)
def test_the_format_clause_is_split_off(sql: str, rest: str, clickhouse: str) -> None:
    found, output = split_format_clause(sql)
    assert (found, output.clickhouse) == (rest, clickhouse)


@pytest.mark.parametrize(
    "text", ["EXPLAIN " + " " * 60_000, "EXPLAIN " + "a=a " * 15_000, "EXPLAIN PLAN " + "a = " * 15_000]
)
def test_no_pattern_of_statements_is_quadratic(text: str) -> None:
    began = time.perf_counter()
    for pattern, _ in _STATEMENTS:
        re.fullmatch(pattern, text, re.IGNORECASE | re.DOTALL)
    assert time.perf_counter() - began < 60
