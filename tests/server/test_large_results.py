"""Results larger than what is held, over a real socket: whole, once, no faster than they are read, and never half."""

from __future__ import annotations

import logging
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from clickpipe.query import QueryLimits, QueryService
from tests.server.conftest import Client

ROWS = 300_000
LARGE = f"""\
TOKEN "reader" READ

NODE large
SQL >
    %
    SELECT number AS n, 'some text' AS t
    FROM numbers({{{{UInt64(rows, {ROWS})}}}})
    WHERE not throwIf(number = {{{{UInt64(fault, 1000000000000)}}}}, 'something secret')
TYPE endpoint
"""


@pytest.fixture
def url(empty: Client, port: int) -> str:
    empty.workspace.deploy({"pipes/large.pipe": LARGE})
    return f"http://127.0.0.1:{port}"


@pytest.fixture
def bearer(empty: Client) -> dict[str, str]:
    return {"Authorization": f"Bearer {empty.token('workspace admin token').value}"}


@pytest.mark.parametrize("ending", ["csv", "csvwithnames", "ndjson"])
def test_large_results_arrive_whole(url: str, bearer: dict[str, str], ending: str) -> None:
    with httpx.Client(base_url=url, headers=bearer, timeout=60) as client:
        small = client.get(f"/v0/pipes/large.{ending}?rows=2")
        large = client.get(f"/v0/pipes/large.{ending}")
    assert small.headers["content-length"]
    assert large.headers["transfer-encoding"] == "chunked"
    assert large.headers["content-type"] == small.headers["content-type"]
    lines, first = large.text.splitlines(), small.text.splitlines()
    header = first[:-2]
    assert lines[: len(first)] == first
    assert len(lines) == len(header) + ROWS
    assert sum(line == first[0] for line in lines) == 1
    assert "etag" not in large.headers


def test_sql_and_the_clickhouse_interface(url: str, bearer: dict[str, str]) -> None:
    sql = "SELECT n FROM large ORDER BY n FORMAT TSV"
    for path in ("/v0/sql", "/"):
        response = httpx.get(f"{url}{path}", params={"q" if path == "/v0/sql" else "query": sql}, headers=bearer)
        assert response.headers["transfer-encoding"] == "chunked"
        assert response.text == "".join(f"{n}\n" for n in range(ROWS))


def test_who_asks_the_same_at_once_gets_all_of_it(url: str, bearer: dict[str, str]) -> None:
    def ask(_: int) -> int:
        return len(httpx.get(f"{url}/v0/pipes/large.ndjson", headers=bearer, timeout=60).text.splitlines())

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(ask, range(12))) == [ROWS] * 12


def test_a_result_that_breaks_off_is_seen_to(
    url: str, bearer: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    early = httpx.get(f"{url}/v0/pipes/large.csv?fault=5", headers=bearer)
    assert early.status_code == 400
    with caplog.at_level(logging.WARNING), pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{url}/v0/pipes/large.csv?rows=100000000&fault=5000000", headers=bearer, timeout=60)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("clickpipe")]
    assert ours == ["a result was truncated: FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"]
    assert "secret" not in caplog.text
    assert "Traceback" not in caplog.text


def test_a_slow_client_gets_all_of_it(
    empty: Client, url: str, bearer: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of a query's seconds is none of a download's."""
    limits = QueryLimits(max_seconds=1)
    monkeypatch.setattr(
        empty.workspace.data, "queries", QueryService(empty.instance.engine, lambda: empty.workspace.live, limits)
    )
    found = 0
    with httpx.stream("GET", f"{url}/v0/pipes/large.csv?rows=2000000", headers=bearer, timeout=60) as response:
        for number, part in enumerate(response.iter_bytes(4_000_000)):
            found += part.count(b"\n")
            time.sleep(0.3 if number < 8 else 0)
    assert found == 2_000_001


def test_a_client_that_goes_away_ends_its_query(
    empty: Client, url: str, bearer: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clickpipe.engine.stream._IN_FILE", 1)
    host, port = url.removeprefix("http://").split(":")
    head = "GET /v0/pipes/large.csv?rows=100000000000 HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n\r\n"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.format(bearer["Authorization"]).encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
        time.sleep(0.5)  # what it does not take is not made
        (rows,) = rows_read(empty)
        time.sleep(0.3)
        assert rows_read(empty) == [rows]
    for _ in range(1000):
        if not rows_read(empty):
            break
        time.sleep(0.01)
    else:
        pytest.fail("the query goes on")


def test_a_client_that_goes_away_ends_a_query_that_is_slow_to_give_its_next_rows(
    empty: Client, url: str, bearer: dict[str, str]
) -> None:
    slow = (
        "NODE slow\nSQL >\n    SELECT number AS n, repeat('some text', 1000) AS t FROM numbers(1000000000000)\n"
        "    WHERE number < 3000 OR sipHash64(repeat(toString(number), 200)) = 1\nTYPE endpoint\n"
    )
    empty.workspace.deploy({"pipes/slow.pipe": slow})
    host, port = url.removeprefix("http://").split(":")
    head = f"GET /v0/pipes/slow.csv HTTP/1.1\r\nHost: x\r\nAuthorization: {bearer['Authorization']}\r\n\r\n"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
        assert rows_read(empty)
    until = time.monotonic() + 9  # it would be ended by its limit after ten seconds
    while rows_read(empty):
        assert time.monotonic() < until, "the query goes on"
        time.sleep(0.02)
    assert empty.instance.limiter.running == 0


def rows_read(client: Client) -> list[int]:
    """Of the queries of this file's endpoint that run: rows read so far."""
    sql = "SELECT read_rows FROM system.processes WHERE query LIKE '%some text%' AND query NOT LIKE '%processes%'"
    return [int(line) for line in client.instance.engine.execute(sql, output="TSV").body.split()]
