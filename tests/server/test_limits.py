"""Limits of tokens: requests a second, and what a query of theirs may take."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.conftest import FILES, SOON, Client, get, sign


def test_requests_a_second(client: Client) -> None:
    signed = sign(client, {"type": "PIPES:READ", "resource": "totals"}, limits={"rps": 2})
    replies = [get(client, "/v0/pipes/totals.json", signed) for _ in range(6)]
    assert replies[0].headers["x-ratelimit-limit"] == "2"
    refused = next(r for r in replies if r.status_code == 429)
    assert refused.json()["error"].startswith("More than 2 requests with one token a second.")
    assert int(refused.headers["retry-after"]) >= 1
    assert client("GET", "/v0/pipes/totals.json").status_code == 200


@pytest.mark.parametrize(
    ("limits", "q", "status", "name"),
    [
        ({"max_result_rows": 10}, "SELECT number FROM numbers(100000)", 413, "TOO_MANY_ROWS_OR_BYTES"),
        ({"max_result_bytes": 1000}, "SELECT number FROM numbers(100000)", 413, "TOO_MANY_ROWS_OR_BYTES"),
        ({"max_rows_to_read": 10}, "SELECT max(number) AS m FROM numbers(100000)", 413, "TOO_MANY_ROWS"),
        ({"max_memory_bytes": 1_000_000}, "SELECT uniqExact(number) AS u FROM numbers(10000000)", 413, "MEMORY_LIMIT"),
        ({"max_seconds": 1}, "SELECT sum(number % 7) AS s FROM numbers(1000000000000)", 408, "TIMEOUT_EXCEEDED"),
    ],
)
def test_limits_of_a_tokens_queries(client: Client, limits: dict[str, int], q: str, status: int, name: str) -> None:
    scope = {"type": "DATASOURCES:READ", "resource": "events"}
    body = {"scopes": [scope], "limits": limits}
    made = client("POST", "/v0/tokens", params={"name": "kept"}, json=body).json()
    setting = {"max_seconds": "max_execution_time", "max_memory_bytes": "max_memory_usage"}.get(*limits, *limits)
    assert made["limits"] == limits
    for value in (made["token"], sign(client, scope, limits=limits)):
        response = get(client, "/v0/sql", value, q=q)
        assert (response.status_code, name in response.json()["error"]) == (status, True)
        raised = get(client, "/v0/sql", value, q=f"% {{{{{setting}(1000000000000)}}}} {q}")
        assert raised.status_code == status
    response = client("POST", "/", content=q, headers={"X-ClickHouse-Key": made["token"]}, token=None)
    assert name in response.text
    kept = client("PUT", "/v0/tokens/kept", json={"scopes": body["scopes"]}).json()
    assert kept["limits"] == limits
    lifted = client("PUT", "/v0/tokens/kept", json={"scopes": body["scopes"], "limits": {}}).json()
    assert "limits" not in lifted


def test_templates_lower_limits(client: Client) -> None:
    few = "{{max_result_rows(10)}} SELECT number FROM numbers({{UInt64(n, 1)}})"
    client.workspace.deploy({**FILES, "pipes/few.pipe": f"NODE n\nSQL >\n    %\n    {few}\nTYPE endpoint\n"})
    assert client("GET", "/v0/pipes/few.json?n=10").status_code == 200
    refused = client("GET", "/v0/pipes/few.json?n=11")
    assert (refused.status_code, "TOO_MANY_ROWS_OR_BYTES" in refused.json()["error"]) == (413, True)


@pytest.mark.parametrize("value", ["0", "100000000000"])
def test_settings_of_a_pipe_do_not_raise_limits(client: Client, value: str) -> None:
    long = "SELECT repeat(toString(number % 9), 1000000) AS x FROM numbers({{UInt64(n, 1)}})"
    sql = f"{long} SETTINGS max_result_bytes = {value}"
    client.workspace.deploy({**FILES, "pipes/long.pipe": f"NODE n\nSQL >\n    %\n    {sql}\nTYPE endpoint\n"})
    assert client("GET", "/v0/pipes/long.json?n=3").status_code == 200
    refused = client("GET", "/v0/pipes/long.json?n=200")
    assert (refused.status_code, "max bytes: 95.37 MiB" in refused.json()["error"]) == (413, True)


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        ([], None),
        ({"rps": "many"}, "'rps' in 'limits' is a whole number"),
        ({"rps": True}, "'rps' in 'limits' is a whole number"),
        ({"max_seconds": -1}, "'max_seconds' in 'limits' is a whole number"),
        ({"max_second": 1}, "'limits' has no 'max_second': did you mean 'max_seconds'?"),
        ("10", "'limits' is an object"),
    ],
)
def test_limits_that_are_none(client: Client, limits: Any, error: str | None) -> None:
    body = {"scopes": [{"type": "PIPES:READ", "resource": "totals"}], "limits": limits}
    for params in ({"name": "x"}, {"name": "x", "expiration_time": SOON}):
        response = client("POST", "/v0/tokens", params=params, json=body)
        assert (response.status_code == 200) is (error is None)
        assert error is None or response.json()["error"].startswith(error)
