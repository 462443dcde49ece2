"""What calls, jobs and data sources leave behind in service data sources."""

from __future__ import annotations

from typing import Any

from tests.server.conftest import FILES, Client


def rows(client: Client, sql: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client("GET", "/v0/sql", params={"q": sql}).json()["data"]
    return found


def test_calls_are_told_of_without_tokens(client: Client) -> None:
    reader = client.token("reader")
    agent = {"User-Agent": "me"}
    good = client("GET", f"/v0/pipes/totals.json?limit=1&ids=a&ids=b&token={reader.value}", token=None, headers=agent)
    client("POST", "/v0/pipes/totals.json", token="reader", data={"limit": "7"})
    bad = client("GET", "/v0/pipes/totals.json?limit=x", token="reader")
    client("GET", "/v0/sql", params={"q": "SELECT 1"})
    found = rows(client, "SELECT * FROM tinybird.pipe_stats_rt WHERE pipe_name = 'totals'")
    by_id = {row["request_id"]: row for row in found}
    first = by_id[good.headers["x-request-id"]]
    assert {key: first[key] for key in ("token_name", "token", "error", "status_code", "result_rows", "method")} == {
        "token_name": "reader",
        "token": reader.id,
        "error": 0,
        "status_code": 200,
        "result_rows": 1,
        "method": "GET",
    }
    assert first["read_rows"] == 3
    assert first["duration"] > 0
    assert first["user_agent"] == "me"
    assert first["parameters"] == {"limit": "1", "ids": "a,b"}
    assert first["url"] == "/v0/pipes/totals.json?limit=1&ids=a&ids=b"
    assert [row["parameters"] for row in found if row["method"] == "POST"] == [{}]
    failed = by_id[bad.headers["x-request-id"]]
    assert (failed["error"], failed["status_code"]) == (1, 400)
    assert "Error validating 'x'" in failed["error_message"]
    errors = rows(client, "SELECT * FROM tinybird.endpoint_errors")
    assert [(e["request_id"], e["status_code"], e["params"]) for e in errors] == [
        (failed["request_id"], 400, '{"limit": "x"}')
    ]
    everything = rows(client, "SELECT toString(tuple(*)) AS t FROM tinybird.pipe_stats_rt")
    secrets = [t.value for t in client.instance.catalog.tokens.all(client.workspace.id)]
    assert not any(secret in row["t"] for row in everything for secret in secrets)
    assert rows(client, "SELECT count() > 0 AS n FROM tinybird.pipe_stats_rt WHERE pipe_name = 'query_api'") == [
        {"n": 1}
    ]


def test_a_token_in_an_odd_place_is_not_told_of(client: Client) -> None:
    value = client.token("reader").value
    named = client("GET", f"/v0/pipes/{value}.json", headers={"X-Request-Id": value})
    assert (named.status_code, named.headers["x-request-id"] == value) == (404, False)
    client("GET", "/v0/pipes/totals.json", token="reader", headers={"X-Request-Id": value, "User-Agent": value})
    for table in ("pipe_stats_rt", "pipe_stats", "endpoint_errors"):
        found = rows(client, f"SELECT toString(tuple(*)) AS t FROM tinybird.{table}")
        assert found
        assert not any(value in row["t"] for row in found), table
    kept = client("GET", "/v0/pipes/totals.json", token="reader", headers={"X-Request-Id": "mine-1"})
    assert kept.headers["x-request-id"] == "mine-1"


def test_calls_are_summed_up_by_day(client: Client) -> None:
    for query in ("limit=1", "limit=2", "limit=x"):
        client("GET", f"/v0/pipes/totals.json?{query}", token="reader")
    sql = (
        "SELECT sum(view_count) AS views, sum(error_count) AS errors, sum(read_rows_sum) AS rows, "
        "avgMerge(avg_duration_state) > 0 AS took, "
        "length(quantilesTimingMerge(0.9, 0.95, 0.99)(quantile_timing_state)) AS n "
        "FROM tinybird.pipe_stats WHERE pipe_name = 'totals' AND date >= yesterday()"
    )
    assert rows(client, sql) == [{"views": 3, "errors": 1, "rows": 6, "took": 1, "n": 3}]


def test_jobs_and_storage_are_told_of(client: Client) -> None:
    job = client("POST", "/v0/pipes/snapshot/copy").json()["job"]
    client.instance.jobs.wait(job["id"])
    found = rows(client, "SELECT * FROM tinybird.jobs_log FINAL")
    assert [(j["job_id"], j["job_type"], j["status"], j["error"]) for j in found] == [(job["id"], "copy", "done", None)]
    sql = "SELECT datasource_name, max(rows) AS n FROM tinybird.datasources_storage GROUP BY 1 ORDER BY 1"
    held = rows(client, sql)
    assert held == [{"datasource_name": "events", "n": 3}, {"datasource_name": "totals_copy", "n": 2}]


def test_a_pipe_may_read_them(client: Client) -> None:
    pipe = "NODE n\nSQL >\n    SELECT pipe_name, count() AS n FROM tinybird.pipe_stats_rt GROUP BY 1\nTYPE endpoint\n"
    client.workspace.deploy(FILES | {"pipes/stats.pipe": pipe})
    client("GET", "/v0/pipes/totals.json")
    assert {"pipe_name": "totals", "n": 1} in client("GET", "/v0/pipes/stats.json").json()["data"]
