"""A view's columns against its target's: what is told, with both types and the way to mend it."""

from __future__ import annotations

import pytest

from clickpipe.compiler import compile_project
from clickpipe.engine import Engine, scratch
from clickpipe.project import load_texts

EVENTS = "SCHEMA >\n    id String,\n    n Int32\n\nENGINE_SORTING_KEY id\n"


def told(engine: Engine, type_: str, value: str) -> list[tuple[str, str]]:
    files = {
        "events.datasource": EVENTS,
        "sums.datasource": (
            f"SCHEMA >\n    id String,\n    x {type_}\n\nENGINE AggregatingMergeTree\nENGINE_SORTING_KEY id\n"
        ),
        "sums_mv.pipe": (
            f"NODE n\nSQL >\n    SELECT id, {value} AS x FROM events GROUP BY id\nTYPE materialized\nDATASOURCE sums\n"
        ),
    }
    with scratch(engine) as checker:
        found = compile_project(load_texts(files), checker).diagnostics
    return [(d.message, d.hint) for d in found]


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("AggregateFunction(sum, Int32)", "sumState(n)"),
        ("AggregateFunction(count)", "countState()"),
        ("SimpleAggregateFunction(sum, Int64)", "sum(n)"),
        ("SimpleAggregateFunction(sum, Int64)", "sumSimpleState(n)"),
        ("SimpleAggregateFunction(max, Int32)", "max(n)"),
        ("SimpleAggregateFunction(groupUniqArrayArray, Array(String))", "groupUniqArray(id)"),
        ("Int8", "count()"),
        ("Nullable(Float64)", "sum(n)"),
        ("String", "sum(n)"),
        ("DateTime", "min('2026-01-01')"),
        ("Nullable(DateTime)", "any(NULL)"),
        ("LowCardinality(String)", "any(id)"),
        ("Enum8('a' = 1)", "any(id)"),
    ],
)
def test_what_fits(engine: Engine, type_: str, value: str) -> None:
    assert told(engine, type_, value) == []


@pytest.mark.parametrize(
    ("type_", "value", "given", "hint"),
    [
        (
            "AggregateFunction(sum, Int32)",
            "sum(n)",
            "Int64",
            "write sumState(…) AS x in the query: the column holds states, -Merge reads them",
        ),
        (
            "AggregateFunction(sum, Int64)",
            "sumState(n)",
            "AggregateFunction(sum, Int32)",
            "write `x AggregateFunction(sum, Int32)` in sums.datasource",
        ),
        (
            "Int64",
            "sumState(n)",
            "AggregateFunction(sum, Int32)",
            "write `x AggregateFunction(sum, Int32)` in sums.datasource, or sum(…) AS x in the query: "
            "the column holds values",
        ),
        (
            "SimpleAggregateFunction(sum, Int64)",
            "sumState(n)",
            "AggregateFunction(sum, Int32)",
            "write `x AggregateFunction(sum, Int32)` in sums.datasource, or sum(…) AS x in the query: "
            "the column holds values, not states",
        ),
        ("Array(String)", "sum(n)", "Int64", "write `x Int64` in sums.datasource"),
    ],
)
def test_what_does_not_fit_names_both_types_and_the_one_to_write(
    engine: Engine, type_: str, value: str, given: str, hint: str
) -> None:
    assert told(engine, type_, value) == [(f"column 'x' is {given} in the query and {type_} in 'sums'", hint)]
