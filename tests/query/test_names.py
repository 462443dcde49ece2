"""Which columns a template may name: those that its query can see, and errors tell of no others."""

from __future__ import annotations

import asyncio

import pytest

from clickpipe.diagnostics import ClickpipeError
from clickpipe.query import QueryOptions
from clickpipe.runtime import Workspace


def source(columns: str) -> str:
    return f"SCHEMA >\n    {columns}\n\nENGINE_SORTING_KEY tuple()\n"


def pipe(sql: str, kind: str = "TYPE endpoint\n") -> str:
    return f"NODE n\nSQL >\n    %\n    {sql}\n{kind}"


@pytest.fixture
def deployed(workspace: Workspace) -> Workspace:
    workspace.deploy({
        "ev.datasource": source("id String"),
        "finance.datasource": source("secret_margin Float64"),
        "sorted.pipe": pipe("SELECT id FROM ev ORDER BY {{column(sort, 'id')}}"),
        "inner.pipe": pipe("SELECT id, secret_margin * 2 AS doubled FROM ev, finance", ""),
        "outer.pipe": pipe("SELECT * FROM inner ORDER BY {{column(sort, 'id')}}"),
        "any.pipe": pipe("SELECT * FROM {{table(t, 'ev')}} ORDER BY {{column(sort, 'id')}}"),
        "by_symbol.pipe": pipe("SELECT id FROM ev ORDER BY {{symbol(sort, 'id')}}"),
        "several.pipe": pipe("SELECT {{columns(sort, 'id')}} FROM ev"),
    })  # fmt: skip
    return workspace


@pytest.mark.parametrize(
    ("name", "sort", "there_are"),
    [
        ("sorted", "nope", "id"),
        ("sorted", "secret_margin", "id"),
        ("outer", "nope", "doubled, id, secret_margin"),
        ("any", "nope", "id"),
        ("by_symbol", "nope", "id"),
        ("several", "secret_margin", "id"),
    ],
)
def test_an_error_lists_what_the_query_can_see(deployed: Workspace, name: str, sort: str, there_are: str) -> None:
    with pytest.raises(ClickpipeError) as caught:
        deployed.query(name, sort=sort)
    told = f"; expected one of: {there_are}: the parameter 'sort' takes the name of a column, such as id"
    assert caught.value.message.endswith(told)


@pytest.mark.parametrize("name", ["sorted", "any", "by_symbol", "several"])
def test_sql_over_a_pipe_is_told_no_more(deployed: Workspace, name: str) -> None:
    """The pipe's templates may name what they may when it is called."""
    for filters in ({}, {"ev": "id != ''"}):
        options = QueryOptions(values={"sort": "nope"}, filters=filters)
        with pytest.raises(ClickpipeError) as caught:
            asyncio.run(deployed.queries.sql(f"SELECT * FROM {name}", options, lambda *_: None))
        assert "'nope' does not exist; expected one of: id: the parameter 'sort' takes" in caught.value.message


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("sorted", {"sort": "id"}),
        ("outer", {"sort": "doubled"}),
        ("outer", {"sort": "id"}),
        ("any", {"sort": "secret_margin", "t": "finance"}),
    ],
)
def test_what_the_query_can_see_may_be_named(deployed: Workspace, name: str, values: dict[str, str]) -> None:
    assert deployed.query(name, **values) == []


@pytest.mark.parametrize("name", ["nope", "secret_margin", "finance", "inner"])
def test_a_callers_own_template_is_told_of_none(deployed: Workspace, name: str) -> None:
    """Whatever the project has, the answer is ClickHouse's to the SQL."""
    options = QueryOptions(values={"c": name})
    with pytest.raises(ClickpipeError) as caught:
        asyncio.run(deployed.queries.sql("% SELECT {{column(c)}} FROM ev", options, lambda *_: None))
    assert f"Unknown expression identifier `{name}`" in caught.value.message
