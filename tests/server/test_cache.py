"""Kept results: never other than what the query would give now; equal queries at once run once."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from clickpipe.engine import QueryResult
from clickpipe.query import ResultCache
from clickpipe.runtime import Upload
from tests.server.conftest import FILES, Client

SUMS = "SCHEMA >\n    id String,\n    total Int64\n\nENGINE MergeTree\nENGINE_SORTING_KEY id\n"
SUMS_MV = "NODE n\nSQL >\n    SELECT id, toInt64(amount) AS total FROM events\nTYPE materialized\nDATASOURCE sums\n"
OF_SUMS = "NODE n\nSQL >\n    SELECT sum(total) AS s FROM sums\nTYPE endpoint\n"
OF_COPY = "NODE n\nSQL >\n    SELECT sum(amount) AS s FROM totals_copy\nTYPE endpoint\n"
OF_BAD = "NODE n\nSQL >\n    SELECT count() AS s FROM events_quarantine\nTYPE endpoint\n"
MORE = {
    "datasources/sums.datasource": SUMS,
    "pipes/sums_mv.pipe": SUMS_MV,
    "pipes/of_sums.pipe": OF_SUMS,
    "pipes/of_copy.pipe": OF_COPY,
    "pipes/of_bad.pipe": OF_BAD,
}
ROW = {"id": "c", "amount": 10, "at": "2026-01-01 00:00:00"}


@pytest.fixture
def cached(client: Client) -> Client:
    client.workspace.deploy(FILES | MORE)
    return client


def ask(client: Client, name: str, **more: Any) -> tuple[str | None, Any]:
    response = client("GET", f"/v0/pipes/{name}.json", **more)
    assert response.status_code == 200, response.text
    return response.headers.get("x-cache"), [list(row.values()) for row in response.json()["data"]]


def test_a_result_is_kept_until_what_it_reads_is_written_to(cached: Client) -> None:
    assert ask(cached, "totals") == ("MISS", [["a", 4], ["b", 2]])
    assert ask(cached, "totals") == ("HIT", [["a", 4], ["b", 2]])
    cached.workspace.ingest("events", [ROW])
    assert ask(cached, "totals") == ("MISS", [["a", 4], ["b", 2], ["c", 10]])
    assert ask(cached, "totals")[0] == "HIT"
    cached("GET", "/v0/pipes/totals.json?limit=1")
    assert ask(cached, "totals")[0] == "HIT"


def test_views_copies_quarantines_and_deletions_are_writes(cached: Client, tmp_path: Any) -> None:
    def both(name: str) -> Any:
        first, found = ask(cached, name)
        again, same = ask(cached, name)
        assert (first, again, same) == ("MISS", "HIT", found)
        return found

    before = both("of_sums")[0][0]
    cached.workspace.ingest("events", [ROW])
    assert both("of_sums") == [[before + 10]]
    assert both("of_copy") == [[0]]
    cached.instance.jobs.wait(cached.workspace.copy("snapshot").id)
    assert both("of_copy") == [[16]]
    assert both("of_bad") == [[0]]
    cached.workspace.ingest("events", [{"id": "d"}])
    assert both("of_bad") == [[1]]
    assert both("totals")[-1] == ["c", 10]
    assert cached.workspace.data.delete_rows("events", "id = 'c'") == 1
    assert both("totals") == [["a", 4], ["b", 2]]
    (tmp_path / "rows.csv").write_text("x,7,2026-01-01 00:00:00\n")
    cached.instance.jobs.wait(
        cached.workspace.data.import_file(Upload("events", tmp_path / "rows.csv", "csv"), mode="replace").id
    )
    assert both("totals") == [["x", 7]]
    cached.workspace.data.truncate("events")
    assert both("totals") == []


def test_another_deployment_answers_anew(cached: Client) -> None:
    ask(cached, "of_sums")
    cached.workspace.deploy(FILES | MORE | {"pipes/of_sums.pipe": OF_SUMS.replace("sum(total)", "max(total)")})
    assert ask(cached, "of_sums")[0] == "MISS"


@pytest.mark.parametrize(
    ("sql", "kept"),
    [
        ("SELECT count() AS n FROM events", True),
        ("SELECT count() AS n FROM events WHERE at < now()", False),
        ("SELECT count() AS n FROM events WHERE at < toDate(NOW64())", False),
        ("SELECT CURRENT_TIMESTAMP AS n FROM events", False),
        ("SELECT today() AS n", False),
        ("SELECT rand() AS n FROM events", False),
        ("SELECT generateUUIDv4() AS n", False),
        ("SELECT randomString(3) AS n FROM events", False),
        ("SELECT arrayMap(x -> x + rand(), [1]) AS n FROM events", False),
        ("SELECT n FROM (SELECT rand() AS n FROM events)", False),
        ("WITH x AS (SELECT now() AS n) SELECT n FROM x", False),
        ("SELECT count() AS n FROM tinybird.pipe_stats_rt", False),
        ("SELECT a FROM generateRandom('a UInt8') LIMIT 1", False),
        ("SELECT number AS n FROM numbers(3)", True),
        ("SELECT arrayJoin([1, 2]) AS n", True),
        ("SELECT id AS now FROM events WHERE id IN (SELECT id FROM totals)", True),
    ],
)
def test_only_what_is_deterministic_is_kept(client: Client, sql: str, *, kept: bool) -> None:
    client.workspace.deploy(FILES | {"pipes/one.pipe": f"NODE n\nSQL >\n    {sql}\nTYPE endpoint\n"})
    heads = [client("GET", "/v0/pipes/one.json") for _ in range(2)]
    assert [h.status_code for h in heads] == [200, 200]
    assert [h.headers.get("x-cache") for h in heads] == (["MISS", "HIT"] if kept else [None, None])
    assert ("etag" in heads[1].headers) is kept
    assert "x-cache" not in client("GET", "/v0/sql", params={"q": "SELECT count() FROM events"}).headers


def test_a_template_asks_to_keep_what_is_not(client: Client) -> None:
    pipe = "NODE n\nSQL >\n    %\n    {{cache_ttl('1m')}}\n    SELECT now64(9) AS t FROM events\nTYPE endpoint\n"
    client.workspace.deploy(FILES | {"pipes/one.pipe": pipe})
    first = ask(client, "one")
    client.workspace.ingest("events", [ROW])
    assert ask(client, "one") == ("HIT", first[1])


def test_who_has_it_is_told_so(cached: Client) -> None:
    first = cached("GET", "/v0/pipes/totals.json")
    known = {"If-None-Match": first.headers["etag"]}
    same = cached("GET", "/v0/pipes/totals.json", headers=known)
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", first.headers["etag"])
    assert same.headers["cache-control"] == "private, no-cache"
    assert cached("GET", "/v0/pipes/totals.csv", headers=known).status_code == 200
    assert cached("GET", "/v0/pipes/totals.json?limit=1", headers=known).status_code == 200
    assert cached("GET", "/v0/pipes/totals.json", headers=known, token="writer").status_code == 403
    cached.workspace.ingest("events", [ROW])
    changed = cached("GET", "/v0/pipes/totals.json", headers=known)
    assert (changed.status_code, changed.json()["rows"]) == (200, 3)
    hit = cached("GET", "/v0/pipes/totals.json")
    assert (hit.headers["x-cache"], hit.headers["age"]) == ("HIT", "0")
    parts = dict(part.split(";dur=") for part in hit.headers["server-timing"].split(", "))
    assert list(parts) == ["auth", "render", "queue", "engine", "total"]
    assert all(float(value) >= 0 for value in parts.values())
    assert float(parts["engine"]) == float(parts["queue"]) == 0


def test_rows_that_a_token_may_not_read_are_not_in_what_is_kept(cached: Client) -> None:
    mine = {"type": "DATASOURCES:READ", "resource": "events", "filter": "id = 'a'"}
    scopes = [mine, {"type": "PIPES:READ", "resource": "totals"}]
    value = cached("POST", "/v0/tokens", params={"name": "mine"}, json={"scopes": scopes}).json()["token"]
    bearer = {"Authorization": f"Bearer {value}"}
    for _ in range(2):
        assert ask(cached, "totals")[1] == [["a", 4], ["b", 2]]
        assert ask(cached, "totals", token=None, headers=bearer)[1] == [["a", 4]]


def test_equal_queries_at_once_run_once(cached: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = "NODE n\nSQL >\n    %\n    SELECT sum(cityHash64(number)) AS s FROM numbers({{UInt64(n)}})\nTYPE endpoint\n"
    cached.workspace.deploy(FILES | MORE | {"pipes/slow.pipe": slow})
    queries = cached.workspace.queries
    ran: list[object] = []
    run = queries._run

    async def counted(*given: Any) -> QueryResult:
        ran.append(given)
        return await run(*given)

    monkeypatch.setattr(queries, "_run", counted)
    cached.workspace.query("slow", n=1)
    ran.clear()
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(cached.workspace.query("slow", n=50_000_000))) for _ in range(64)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ran) == 1
    assert len(found) == 64
    assert all(one == found[0] for one in found)
    with pytest.raises(Exception, match="n"):
        cached.workspace.query("slow", n="x")


def test_memory_is_bounded() -> None:
    answers = ResultCache(100_000)

    async def run(size: int) -> QueryResult:
        return QueryResult(b"x" * size, 0, 0, 0.0)

    def ask(key: object, size: int) -> str:
        return asyncio.run(answers.answer(key, float("inf"), "", lambda: run(size))).source

    sources = []
    for number in [*range(100), 0, 99]:
        sources.append(ask(number, 5_000))
        assert answers.size <= 100_000
        assert answers.size == sum(kept.size for own in answers._kept._kept.values() for kept in own.values())
    assert sources == ["MISS"] * 101 + ["HIT"]
    assert [ask("large", 50_000) for _ in range(2)] == ["MISS", "MISS"]


def test_parameters_count_as_well_as_results() -> None:
    """They are part of the keys: a caller could fill the memory with long ones for short results."""
    answers = ResultCache(1_000_000)

    async def run() -> QueryResult:
        return QueryResult(b"1", 0, 0, 0.0)

    for number in range(100):
        key = ("SELECT 1", (("text", f"{number:050000}"), ("list", ("list", *(["x" * 100] * 100)))))
        assert asyncio.run(answers.answer(key, float("inf"), "", run)).source == "MISS"
        assert answers.size >= min(1 + number, 10) * 60_000
    assert answers.size <= 1_000_000
    assert 0 < sum(len(own) for own in answers._kept._kept.values()) < 20


def test_a_workspace_that_fills_the_cache_drops_its_own_results() -> None:
    answers = ResultCache(100_000)

    async def run() -> QueryResult:
        return QueryResult(b"x" * 5_000, 0, 0, 0.0)

    def ask(whose: str, number: int) -> str:
        return asyncio.run(answers.answer((whose, number), float("inf"), "", run, whose=whose)).source

    assert [ask("quiet", number) for number in range(2)] == ["MISS"] * 2
    for number in range(200):
        ask("loud", number)
    assert [ask("quiet", number) for number in range(2)] == ["HIT"] * 2
    assert ask("loud", 199) == "HIT"
    for whose in ("c", "d", "e"):
        assert [ask(whose, number) for number in range(3)] == ["MISS"] * 3
    assert [ask("quiet", number) for number in range(2)] == ["HIT"] * 2


def test_a_failure_is_not_kept() -> None:
    answers = ResultCache(100_000)

    async def fail() -> QueryResult:
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            asyncio.run(answers.answer("a", 60.0, "", fail))
    assert (answers.misses, answers._flights) == (2, {})
