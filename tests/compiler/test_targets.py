"""A view's columns against its target's: what is told, with both types and the way to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from clickpipe.compiler import compile_project
from clickpipe.config import DEFAULT_RULES, ProjectRules, with_project
from clickpipe.diagnostics import Diagnostic, Severity
from clickpipe.engine import Engine, scratch
from clickpipe.project import load_texts

EVENTS = "SCHEMA >\n    id String,\n    n Int32\n\nENGINE_SORTING_KEY id\n"


def told(engine: Engine, type_: str, value: str) -> list[tuple[str, str]]:
    return [(d.message, d.hint) for d in diagnostics(engine, type_, value)]


def diagnostics(engine: Engine, type_: str, value: str, rules: ProjectRules = DEFAULT_RULES) -> Sequence[Diagnostic]:
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
        return [d for d in compile_project(load_texts(files), checker, rules).diagnostics if d.code == "CP4006"]


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("AggregateFunction(sum, Int32)", "sumState(n)"),
        ("AggregateFunction(count)", "countState()"),
        ("SimpleAggregateFunction(sum, Int64)", "sum(n)"),
        ("SimpleAggregateFunction(sum, Int64)", "sumSimpleState(n)"),
        ("SimpleAggregateFunction(max, Int32)", "max(n)"),
        ("SimpleAggregateFunction(groupUniqArrayArray, Array(String))", "groupUniqArray(id)"),
        ("Nullable(Float64)", "sum(n)"),
        ("String", "sum(n)"),
        ("Nullable(DateTime)", "any(NULL)"),
        ("LowCardinality(String)", "any(id)"),
    ],
)
def test_what_fits(engine: Engine, type_: str, value: str) -> None:
    assert told(engine, type_, value) == []


@pytest.mark.parametrize(
    ("type_", "value", "mended"),
    [
        ("Int8", "count()", "accurateCastOrDefault(…, 'Int8') AS x"),
        ("Int8", "sum(n)", "accurateCastOrDefault(…, 'Int8') AS x"),
        ("Nullable(UInt16)", "sum(n)", "accurateCastOrNull(…, 'UInt16') AS x"),
        ("DateTime", "min('2026-01-01')", "toDateTimeOrZero(…) AS x"),
        ("Date", "max(toDateTime(n))", "toDate(…) AS x"),
        (
            "Enum8('a' = 1)",
            "any(id)",
            r"CAST(if(toString(…) IN ('a'), toString(…), toString(defaultValueOfTypeName('Enum8(\'a\' = 1)'))) "
            "AS Enum8('a' = 1)) AS x",
        ),
        ("Int64", "any(toNullable(n))", "ifNull(…, defaultValueOfTypeName('Int64')) AS x"),
    ],
)
def test_what_is_lost_is_a_warning_an_error_when_strict_and_may_be_allowed(
    engine: Engine, type_: str, value: str, mended: str
) -> None:
    ((_, hint),) = told(engine, type_, value)
    assert hint.startswith(f"write {mended} in the query, or `x ")
    assert "lossy_columns" in hint
    for strict in (False, True):
        severity = Severity.ERROR if strict else Severity.WARNING
        rules = ProjectRules(lenient=not strict)
        assert [d.severity for d in diagnostics(engine, type_, value, rules)] == [severity]
        for allowed in ("*", "sums_mv", "sums_mv.x"):
            assert diagnostics(engine, type_, value, replace(rules, lossy_columns={allowed})) == []
        assert len(diagnostics(engine, type_, value, replace(rules, lossy_columns={"sums_mv.id", "sums"}))) == 1


def test_a_project_says_itself_what_may_be_lost() -> None:
    rules = with_project(ProjectRules(), 'lossy_columns = "a_mv.x, b_mv"')
    assert rules.lossy_columns == {"a_mv.x", "b_mv"}
    assert rules.key() != ProjectRules().key()


@pytest.mark.parametrize(
    ("type_", "value", "given", "hint"),
    [
        (
            "AggregateFunction(sum, Int32)",
            "sum(n)",
            "Int64",
            "write sumState(…) AS x in the query: it stores states, to be read with -Merge",
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
            "the column stores values",
        ),
        (
            "SimpleAggregateFunction(sum, Int64)",
            "sumState(n)",
            "AggregateFunction(sum, Int32)",
            "write `x AggregateFunction(sum, Int32)` in sums.datasource, or sum(…) AS x in the query: "
            "the column stores values, not states",
        ),
        ("Array(String)", "sum(n)", "Int64", "write `x Int64` in sums.datasource"),
    ],
)
def test_what_does_not_fit_names_both_types_and_the_one_to_write(
    engine: Engine, type_: str, value: str, given: str, hint: str
) -> None:
    assert told(engine, type_, value) == [(f"column 'x' is {given} in the query and {type_} in 'sums'", hint)]
