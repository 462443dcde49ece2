from __future__ import annotations

import gzip
import json

import lz4.frame
import pytest

from tests.server.conftest import Client

GOOD = '{"id": "x", "amount": 5, "at": "2026-02-01 00:00:00"}'
BAD = '{"id": "x", "amount": "many", "at": "2026-02-01 00:00:00"}'


def rows_of(client: Client) -> int:
    return int(client.workspace.sql("SELECT count() AS c FROM events WHERE id = 'x'")[0]["c"])


@pytest.mark.parametrize(
    ("body", "counts"),
    [
        (GOOD, (1, 0)),
        (f"{GOOD}\n{GOOD}\n", (2, 0)),
        (f"{GOOD}\n{BAD}\n\nnot json\n", (1, 2)),
        (json.dumps(json.loads(GOOD), indent=2), (1, 0)),
        (f"\ufeff{GOOD}\r\n", (1, 0)),
        ("", (0, 0)),
        ("[1, 2]", (0, 1)),
        (f"[{GOOD}, {GOOD},\n {BAD}]", (2, 1)),
        ("[]", (0, 0)),
    ],
)
def test_counts_tell_where_each_row_went(client: Client, body: str, counts: tuple[int, int]) -> None:
    response = client("POST", "/v0/events?name=events&wait=true", content=body.encode())
    assert response.status_code == 200
    assert response.json() == {"successful_rows": counts[0], "quarantined_rows": counts[1]}
    assert rows_of(client) == counts[0]


def test_without_wait_the_status_is_202_and_the_counts_the_same(client: Client) -> None:
    response = client("POST", "/v0/events?name=events", content=f"{GOOD}\n{BAD}".encode())
    assert response.status_code == 202
    assert response.json() == {"successful_rows": 1, "quarantined_rows": 1}


def test_format_json_takes_an_array(client: Client) -> None:
    response = client("POST", "/v0/events?name=events&format=json", content=f"[{GOOD},\n {GOOD}]".encode())
    assert response.json() == {"successful_rows": 2, "quarantined_rows": 0}


@pytest.mark.parametrize(
    "content_type", [None, "application/json", "application/x-www-form-urlencoded", "text/html", "multipart/form-data"]
)
def test_the_content_type_does_not_matter(client: Client, content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    response = client("POST", "/v0/events?name=events", content=GOOD.encode(), headers=headers)
    assert response.json()["successful_rows"] == 1


def test_an_array_is_its_elements_compressed_too(client: Client) -> None:
    packed = lz4.frame.compress(f"[{GOOD}, {GOOD}]".encode())
    response = client("POST", "/v0/events?name=events", content=packed, headers={"Content-Encoding": "lz4"})
    assert response.json() == {"successful_rows": 2, "quarantined_rows": 0}


def test_gzip_is_understood(client: Client) -> None:
    headers = {"Content-Encoding": "gzip"}
    response = client("POST", "/v0/events?name=events", content=gzip.compress(GOOD.encode(), mtime=0), headers=headers)
    assert response.json()["successful_rows"] == 1


@pytest.mark.parametrize(
    ("content", "encoding", "status", "error"),
    [
        (b"not gzip", "gzip", 400, "The body is not valid gzip."),
        (gzip.compress(GOOD.encode() * 100, mtime=0)[:-9], "gzip", 400, "The gzip body is not complete."),
        (gzip.compress(b"x" * 200_000_000, mtime=0), "gzip", 413, "larger than"),
        (b"x", "br", 400, "Content-Encoding 'br' is not supported"),
        (b"x" * 10_000_001, "", 413, "larger than 10000000 bytes"),
    ],
)
def test_bodies_that_are_refused(client: Client, content: bytes, encoding: str, status: int, error: str) -> None:
    headers = {"Content-Encoding": encoding} if encoding else {}
    response = client("POST", "/v0/events?name=events", content=content, headers=headers)
    assert response.status_code == status
    assert error in response.json()["error"]


@pytest.mark.parametrize(
    ("query", "token", "status", "error"),
    [
        ("", "workspace admin token", 400, "'name' is missing"),
        ("?name=nope", "workspace admin token", 404, 'Data Source "nope" does not exist'),
        ("?name=event", "workspace admin token", 404, "did you mean 'events'?"),
        ("?name=events", "reader", 403, "needs the scope DATASOURCES:APPEND on 'events'"),
        ("?name=events", None, 403, "A token is needed"),
    ],
)
def test_requests_that_are_refused(client: Client, query: str, token: str | None, status: int, error: str) -> None:
    response = client("POST", f"/v0/events{query}", token=token, content=GOOD.encode())
    assert response.status_code == status
    assert error in response.json()["error"]


def test_an_append_token_from_a_datafile_may_write(client: Client) -> None:
    assert client("POST", "/v0/events?name=events", token="writer", content=GOOD.encode()).status_code == 202
