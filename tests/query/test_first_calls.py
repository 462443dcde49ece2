"""What is known of a text is known of one deployment; calls that were not judged yet are limited as others are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from clickpipe.diagnostics import ClickpipeError
from clickpipe.query import Answer, ConcurrencyLimiter, QueryOptions, QueryService, ResultCache
from clickpipe.runtime import Instance, Workspace

SLOW = "NODE n\nSQL >\n    SELECT sum(cityHash64(number)) AS s FROM numbers(1000000000000) WHERE number > {}\n"
SLOW += "TYPE endpoint\n"
SUMS = "SCHEMA >\n    id String,\n    n SimpleAggregateFunction(sum, Int64)\nENGINE AggregatingMergeTree\n"
SUMS += "ENGINE_SORTING_KEY id\n"
SOURCE = "SCHEMA >\n    id String `json:$.id`,\n    n Int32 `json:$.n`\n\nENGINE_SORTING_KEY id\n"
VIEW = "NODE n\nSQL >\n    SELECT id, sum(n) AS n FROM {} GROUP BY id\nTYPE materialized\nDATASOURCE sums\n"
FILES = {
    "a.datasource": SOURCE,
    "b.datasource": SOURCE,
    "sums.datasource": SUMS,
    "a_view.pipe": VIEW.format("a"),
    "total.pipe": "NODE n\nSQL >\n    SELECT sum(n) AS n FROM sums\nTYPE endpoint\n",
}


def answer(query: Coroutine[Any, Any, Answer]) -> Answer:
    return asyncio.run(query)


def test_first_calls_are_refused_when_too_many_run(instance: Instance, workspace: Workspace) -> None:
    workspace.deploy({f"slow{n}.pipe": SLOW.format(n) for n in range(3)})
    runner = QueryService(instance.engine, lambda: workspace.live, limiter=ConcurrencyLimiter(instance.engine, 1, 0))

    async def run() -> None:
        first = asyncio.create_task(runner.endpoint("slow0", QueryOptions()))
        await running(1)
        with pytest.raises(ClickpipeError, match="1 queries run and 0 wait") as refused:
            await runner.endpoint("slow1", QueryOptions())
        assert refused.value.status == 429
        first.cancel()
        await running(0)
        third = asyncio.create_task(runner.endpoint("slow2", QueryOptions()))
        await running(1)
        third.cancel()
        await running(0)

    async def running(count: int) -> None:
        while runner._limiter.running != count:  # noqa: ASYNC110 - other threads count
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_new_view_into_a_table_makes_kept_results_old(instance: Instance, workspace: Workspace) -> None:
    workspace.deploy(FILES)
    runner = QueryService(instance.engine, lambda: workspace.live, cache=ResultCache(1 << 20))

    def total() -> tuple[int, str]:
        found = answer(runner.endpoint("total", QueryOptions()))
        return json.loads(found.result.body)["data"][0]["n"], found.source

    workspace.ingest("a", [{"id": "x", "n": 1}])
    assert (total(), total()[1]) == ((1, "MISS"), "HIT")
    workspace.deploy({**FILES, "b_view.pipe": VIEW.format("b")})
    assert total()[0] == 1
    workspace.ingest("b", [{"id": "x", "n": 2}])
    assert total()[0] == 3


def test_a_row_filter_is_composed_once(
    instance: Instance, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = "NODE n\nSQL >\n    %\n    SELECT sum(n) AS total FROM a WHERE n > {{Int32(above, 0)}}\nTYPE endpoint\n"
    workspace.deploy(FILES | {"above.pipe": named})
    workspace.ingest("a", [{"id": "x", "n": 1}, {"id": "y", "n": 10}, {"id": "z", "n": 100}])
    runner = QueryService(instance.engine, lambda: workspace.live, cache=ResultCache(1_000_000))
    parse, parsed = instance.engine.syntax_tree, list[str]()

    def counted(sql: str) -> str:
        parsed.append(sql)
        return parse(sql)

    monkeypatch.setattr(instance.engine, "syntax_tree", counted)

    def total(above: int, condition: str) -> int:
        found = answer(runner.endpoint("above", QueryOptions(values={"above": above}, filters={"a": condition})))
        return int(json.loads(found.result.body)["data"][0]["total"])

    assert total(0, "id != 'x'") == 110
    assert parsed
    parsed.clear()
    assert [total(10, "id != 'x'"), total(0, "id != 'x'")] == [100, 110]
    assert not parsed
    assert total(0, "id != 'y'") == 101, "another filter is another one"
    assert parsed
    workspace.deploy(FILES | {"above.pipe": named, "c.datasource": SOURCE})
    parsed.clear()
    assert total(0, "id != 'x'") == 110
    assert any("id != 'x'" in sql for sql in parsed), "a filter is composed for each deployment"


@pytest.mark.parametrize("filters", [{}, {"a": "id != 'x'"}])
@pytest.mark.parametrize(
    ("sql", "statements"),
    [
        ("SELECT sum(n) AS n FROM a WHERE id != 'w'", 1),
        ("SELECT sum(a.n) AS n FROM a", 2),  # `a` stands twice: which is the table?
        ("SELECT sum(x.n) AS n FROM a AS x JOIN b AS y ON x.id = y.id", 1),
        ("SELECT sum(n) AS n FROM a FINAL", 2),
        ("WITH a AS (SELECT 110 AS n, 'y' AS id) SELECT sum(n) AS n FROM a", 2),
    ],
)
def test_a_callers_sql_and_what_it_becomes_are_parsed_together(
    instance: Instance,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    sql: str,
    statements: int,
    filters: dict[str, str],
) -> None:
    source = SOURCE + 'ENGINE "ReplacingMergeTree"\n'
    workspace.deploy({"a.datasource": source, "b.datasource": source})
    for table in ("a", "b"):
        workspace.ingest(table, [{"id": "y", "n": 10}, {"id": "z", "n": 100}])
    runner = QueryService(instance.engine, lambda: workspace.live)
    options = QueryOptions(filters=filters)

    def total(text: str) -> int:
        return int(json.loads(answer(runner.sql(text, options, lambda _kind, _name: None)).result.body)["data"][0]["n"])

    assert total("SELECT sum(n) AS n FROM a") == 110, "the filter is composed, and what reads a table by itself"
    run, parsed = instance.engine.execute, list[str]()

    def counted(statement: str, *arguments: object, **named: object) -> object:
        parsed.extend([statement] if "parseQueryToJSON" in statement else [])
        return run(statement, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(instance.engine, "execute", counted)
    assert total(sql) == 110
    assert len(parsed) == statements + (2 if "FINAL" in sql and filters else 0), parsed


@pytest.mark.parametrize("asked", ["endpoint", "sql", "explain"])
def test_a_query_is_asked_again_when_a_deployment_has_removed_its_tables(
    instance: Instance, workspace: Workspace, asked: str
) -> None:
    """Each way asks the live deployment of its beginning first, which is replaced before the query runs."""
    workspace.deploy(FILES)
    workspace.ingest("a", [{"id": "x", "n": 1}])
    first = workspace.live
    workspace.deploy({**FILES, "sums.datasource": SUMS.replace("n Simple", "m Int8, n Simple")}, allow_destructive=True)
    workspace.deploy({**FILES, "sums.datasource": SUMS.replace("n Simple", "k Int8, n Simple")}, allow_destructive=True)
    given = [first]
    service = QueryService(instance.engine, lambda: given.pop() if given else workspace.live)
    ways: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "endpoint": lambda: service.endpoint("total", QueryOptions()),
        "sql": lambda: service.sql("SELECT sum(n) AS n FROM sums", QueryOptions(), lambda *_: None),
        "explain": lambda: service.explain("total", QueryOptions()),
    }
    assert asyncio.run(ways[asked]())
    assert not given
