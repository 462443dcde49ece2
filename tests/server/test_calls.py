"""The forms a call may take: bodies, `q` over a result, formats, settings of the output."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import urlencode

import pytest

from clickpipe.query import QueryLimits, QueryService
from clickpipe.server import create_app
from tests.server.conftest import FILES, Client

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("query", "body", "headers", "ids"),
    [
        ("", b"", {}, ["a", "b"]),
        ("", b"least=3", FORM, ["a"]),
        ("", b"ids=a&ids=b", FORM, ["a", "b"]),
        ("", b"least=", FORM, None),
        ("", b'{"least": 3}', JSON, ["a"]),
        ("", b' {"least": "3", "ids": null}', {}, ["a"]),
        ("", b'{"ids": ["b"], "limit": 1}', JSON, ["b"]),
        ("limit=1", b'{"ids": ["a", "b"]}', JSON, ["a"]),
        ("least=100", b"least=3", FORM, ["a"]),
        ("", b"[1]", JSON, None),
        ("", b'{"least": 3', JSON, None),
        ("", b"\xff\xfe", FORM, None),
    ],
)
def test_parameters_in_a_body(
    client: Client, query: str, body: bytes, headers: dict[str, str], ids: list[str] | None
) -> None:
    response = client("POST", f"/v0/pipes/totals.json?{query}", content=body, headers=headers)
    if ids is None:
        assert response.status_code == 400
        assert response.json()["error"]
    else:
        assert [row["id"] for row in response.json()["data"]] == ids


def test_formats_by_ending(client: Client) -> None:
    named = client("GET", "/v0/pipes/totals.csvwithnames")
    assert named.text == client("GET", "/v0/pipes/totals.csv").text == '"id","total"\n"a",4\n"b",2\n'
    parquet = client("GET", "/v0/pipes/totals.parquet")
    assert parquet.headers["content-type"] == "application/vnd.apache.parquet"
    assert parquet.content[:4] == parquet.content[-4:] == b"PAR1"
    over = {"q": "SELECT id AS name, toFloat64(total) AS value FROM _"}
    metrics = client("GET", "/v0/pipes/totals.prometheus", params=over)
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert metrics.text.splitlines() == ["a 4", "", "b 2", ""]
    wrong = client("GET", "/v0/pipes/totals.prometheus")
    assert (wrong.status_code, "Prometheus" in wrong.json()["error"]) == (400, True)


@pytest.mark.parametrize(
    ("q", "status", "found"),
    [
        ("SELECT id FROM _ WHERE total > 2", 200, [{"id": "a"}]),
        ("SELECT max(t) AS m FROM (SELECT total AS t FROM _)", 200, [{"m": 4}]),
        ("SELECT id FROM totals ORDER BY id LIMIT 1", 200, [{"id": "a"}]),
        ("% SELECT id FROM _ WHERE id = {{String(mine)}}", 200, [{"id": "b"}]),
        ("SELECT count() AS c FROM events", 403, "DATASOURCES:READ on 'events'"),
        ("SELECT * FROM _ JOIN (SELECT * FROM strict) AS s ON 1", 403, "PIPES:READ on 'strict'"),
        ("SELECT * FROM file('/etc/passwd')", 400, "The table function 'file' is not allowed."),
        ("SELECT 1; SELECT 2", 400, "Syntax error"),
        ("SELECT nothing FROM _", 400, "nothing"),
    ],
)
def test_sql_over_a_result(client: Client, q: str, status: int, found: object) -> None:
    for method, more in (("GET", {"params": {"q": q, "mine": "b"}}), ("POST", {"data": {"q": q, "mine": "b"}})):
        response = client(method, "/v0/pipes/totals.json", token="reader", **more)
        assert response.status_code == status
        if status == 200:
            assert response.json()["data"] == found
        else:
            assert str(found) in response.json()["error"]
    assert client("GET", "/v0/pipes/snapshot.json", params={"q": "SELECT 1 FROM _"}).status_code == 404


def test_a_format_clause_wins_over_the_ending(client: Client) -> None:
    response = client("GET", "/v0/pipes/totals.json", params={"q": "SELECT id FROM _ FORMAT CSV"})
    assert (response.headers["content-type"], response.text) == ("text/csv; charset=utf-8", '"a"\n"b"\n')


def test_explain_as_a_parameter(client: Client) -> None:
    plan = client("GET", "/v0/pipes/totals.json?explain=true&least=2", "reader").json()["plan"]
    assert any("ReadFromMergeTree (events)" in line for line in plan)


def test_settings_of_the_output(client: Client) -> None:
    q = "SELECT toUInt64(9007199254740993) AS n, nan AS x"
    for settings, expected in (
        ({}, [{"n": 9007199254740993, "x": None}]),
        ({"output_format_json_quote_64bit_integers": "1"}, [{"n": "9007199254740993", "x": None}]),
        ({"output_format_json_quote_denormals": "true"}, [{"n": 9007199254740993, "x": "nan"}]),
    ):
        for path in ("/v0/sql", "/v0/pipes/totals.json"):
            assert client("GET", path, params={"q": q, **settings}).json()["data"] == expected
    wrong = client("GET", "/v0/pipes/totals.json?output_format_json_quote_denormals=maybe")
    assert (wrong.status_code, "must be 0 or 1" in wrong.json()["error"]) == (400, True)


def test_sql_in_each_form(client: Client) -> None:
    q = "SELECT id FROM totals FORMAT CSV"
    forms: list[dict[str, Any]] = [
        {"params": {"q": q, "least": "3"}},
        {"data": {"q": q, "least": "3"}},
        {"json": {"q": q, "least": 3}},
        {"content": q.encode(), "params": {"least": "3"}},
        {"content": q.encode(), "params": {"least": "3"}, "headers": FORM},  # as curl -d sends it
        {"content": q.encode(), "params": {"least": "3"}, "headers": JSON},
    ]
    for number, more in enumerate(forms):
        response = client("POST" if number else "GET", "/v0/sql", **more)
        assert (response.status_code, response.text) == (200, '"a"\n'), more
    for text in ("SELECT '=' AS a, '&' AS b FORMAT CSV", "SELECT 1 AS q FORMAT CSV"):
        assert client("POST", "/v0/sql", content=text.encode(), headers=FORM).status_code == 200


def test_a_pipeline_names_its_nodes_and_its_result(client: Client) -> None:
    two = "NODE first\nSQL >\n    SELECT 1 AS n\n\nNODE second\nSQL >\n    SELECT n + 1 AS n FROM first\n"
    client.workspace.deploy(FILES | {"pipes/two.pipe": two})
    for q, n in (
        ("SELECT n FROM _", 2),
        ("SELECT n FROM two", 2),
        ("SELECT n FROM first", 1),
        ("SELECT n FROM second", 2),
    ):
        response = client("GET", "/v0/sql", params={"q": q, "pipeline": "two"})
        assert response.json()["data"] == [{"n": n}]
    assert client("GET", "/v0/sql", params={"q": "SELECT 1", "pipeline": "twi"}).status_code == 404
    assert client("GET", "/v0/sql", params={"q": "SELECT n FROM _"}).status_code == 400
    assert client("GET", "/v0/sql", params={"q": "SELECT n FROM first"}).status_code == 400


def test_an_engines_error_has_its_number(client: Client) -> None:
    response = client("GET", "/v0/sql", params={"q": "SELECT nope FROM events"})
    assert (response.status_code, response.headers["x-db-exception-code"]) == (400, "47")


def test_secrets_stay_with_the_pipes_that_use_them(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKPIPE_SECRET_KEY", "s3cret")
    pipe = "NODE n\nSQL >\n    %\n    SELECT length({{tb_secret('KEY')}}) AS n\n\nTYPE endpoint\n"
    client.workspace.deploy(FILES | {"pipes/keyed.pipe": pipe})
    assert client("GET", "/v0/sql", params={"q": "SELECT n FROM keyed"}).json()["data"] == [{"n": 6}]
    for sql in (
        "SELECT n, {secret_KEY:String} AS stolen FROM keyed",
        "SELECT n, { /* } */ secret_KEY : String } AS stolen FROM keyed",
        "% SELECT n, {{String(a, 'x')}} AS a, {secret_KEY:String} AS stolen FROM keyed",
    ):
        for more in ({}, {"pipeline": "keyed"}):
            response = client("GET", "/v0/sql", params={"q": sql, **more})
            assert response.status_code == 400
            assert "s3cret" not in response.text
    assert client("GET", "/v0/sql", params={"q": "% SELECT n, {{String(a, 'x')}} AS a FROM keyed"}).status_code == 200


@pytest.mark.parametrize(
    ("limits", "sql", "status", "name"),
    [
        (QueryLimits(max_result_rows=10), "SELECT number FROM numbers(100000)", 413, "TOO_MANY_ROWS_OR_BYTES"),
        (QueryLimits(max_result_bytes=1000), "SELECT number FROM numbers(100000)", 413, "TOO_MANY_ROWS_OR_BYTES"),
        (QueryLimits(max_rows_to_read=10), "SELECT max(number) AS m FROM numbers(100000)", 413, "TOO_MANY_ROWS"),
        (
            QueryLimits(max_memory_bytes=1_000_000),
            "SELECT uniqExact(number) AS u FROM numbers(10000000)",
            413,
            "MEMORY_LIMIT_EXCEEDED",
        ),
        (
            QueryLimits(max_seconds=1),
            "SELECT sum(number % 7) AS s FROM numbers(1000000000000)",
            408,
            "TIMEOUT_EXCEEDED",
        ),
    ],
)
def test_limits(client: Client, limits: QueryLimits, sql: str, status: int, name: str) -> None:
    client.workspace.data.queries = QueryService(client.instance.engine, lambda: client.workspace.live, limits)
    response = client("GET", "/v0/sql", params={"q": sql})
    assert (response.status_code, name in response.json()["error"]) == (status, True)


SLOW_SQL = "SELECT sum(cityHash64(number)) AS s FROM numbers(1000000000000)"
SLOW = {
    "pipes/slow.pipe": f"NODE n\nSQL >\n    {SLOW_SQL}\nTYPE endpoint\n",
    "pipes/planned.pipe": f"NODE n\nSQL >\n    SELECT 1 AS x WHERE ({SLOW_SQL}, events) > 0\nTYPE endpoint\n",
}


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v0/sql", {"q": SLOW_SQL}),
        ("/", {"query": SLOW_SQL}),
        ("/v0/pipes/slow.json", {}),
        ("/v0/pipes/slow.csv", {}),
        ("/v0/pipes/slow.json", {"q": "SELECT * FROM _"}),
        ("/v0/pipes/planned.json", {"explain": "true"}),
        ("/v0/pipes/planned/explain", {}),
        ("/v0/datasources/events/delete", {"delete_condition": "id IN (SELECT s FROM slow)", "dry_run": "true"}),
    ],
)
@pytest.mark.parametrize("times", [1, 2])
def test_a_query_ends_when_its_client_goes_away(client: Client, path: str, query: dict[str, str], times: int) -> None:
    client.workspace.deploy({**FILES, **SLOW})
    statuses = [_leave(client, path, query) for _ in range(times)]  # the first call of an endpoint is judged before
    assert statuses == [499] * times


def _leave(client: Client, path: str, query: dict[str, str]) -> int:
    """Ask, go away when the query runs, wait until it has ended; return the status that nobody reads."""
    token = client.token("workspace admin token").value
    scope = {
        "type": "http",
        "method": "POST" if path.endswith("/delete") else "GET",
        "path": path,
        "query_string": urlencode({**query, "token": token}).encode(),
        "headers": [(b"x-clickhouse-key", token.encode())] if path == "/" else [],
        "client": ("127.0.0.1", 1),
    }
    sent: list[Any] = []

    async def call() -> None:
        told = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> Any:
            for message in told:
                return message
            while client.instance.limiter.running == 0:  # noqa: ASYNC110 - another thread counts
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await create_app(client.instance)(scope, receive, send)

    asyncio.run(call())
    for _ in range(200):
        if client.instance.limiter.running == 0:
            break
        time.sleep(0.02)
    assert client.instance.limiter.running == 0, "the query goes on"
    status: int = sent[0]["status"]
    return status


def test_who_goes_away_is_told_of(client: Client) -> None:
    assert _leave(client, "/v0/sql", {"q": SLOW_SQL}) == 499
    found = client("GET", "/v0/sql", params={"q": "SELECT status_code FROM tinybird.pipe_stats_rt WHERE error = 1"})
    assert found.json()["data"] == [{"status_code": 499}]
