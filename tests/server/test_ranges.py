"""HEAD and Range: a result in pieces, all of one result."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import httpx
import pytest

from clickpipe.query import HeldResult, HeldResults
from tests.server.conftest import Client

PATHS = (
    "/v0/pipes/totals.parquet",
    "/v0/pipes/totals.csv?limit=2",
    "/v0/sql?q=SELECT+id%2C+rand()+AS+r+FROM+events+FORMAT+Parquet",
    "/?query=SELECT+id%2C+rand()+AS+r+FROM+events+FORMAT+Arrow",
    "/?query=SELECT+id%2C+now64(9)+AS+r+FROM+events",
)


def ranged(client: Client, path: str, range_: str, **headers: str) -> httpx.Response:
    return client("GET", path, headers={"Range": range_, **headers})


@pytest.mark.parametrize("path", PATHS)
def test_pieces_make_the_whole_that_head_told_of(client: Client, path: str) -> None:
    head = client("HEAD", path)
    size = int(head.headers["content-length"])
    assert (head.status_code, head.content, head.headers["accept-ranges"]) == (200, b"", "bytes")
    pieces = [ranged(client, path, f"bytes={at}-{at + 6}") for at in range(0, size, 7)]
    assert {piece.status_code for piece in pieces} == {206}
    assert {piece.headers["etag"] for piece in pieces} == {head.headers["etag"]}
    assert pieces[0].headers["content-range"] == f"bytes 0-6/{size}"
    whole = b"".join(piece.content for piece in pieces)
    assert len(whole) == size
    assert ranged(client, path, "bytes=-8").content == whole[-8:]
    assert ranged(client, path, f"bytes={size - 3}-").content == whole[-3:]
    assert ranged(client, path, f"bytes=0-{size * 2}").content == whole
    assert ranged(client, path, f"bytes=-{size * 2}").content == whole


@pytest.mark.parametrize("form", ["CSV", "JSONEachRow", "TSV"])
def test_a_result_of_any_size_is_not_put_together(client: Client, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """ClickHouse's limit counts a value that all rows have once: gigabytes were held for one request."""
    monkeypatch.setattr(client.instance.held, "most", 20_000_000)
    path = f"/v0/sql?q=SELECT+repeat('x',1000)+AS+s+FROM+numbers(150000)+FORMAT+{form}"
    for answer in (client("HEAD", path), ranged(client, path, "bytes=0-9")):
        assert answer.status_code == 413
    assert "more than 20000000 bytes" in ranged(client, path, "bytes=-9").json()["error"]
    assert ranged(client, path.replace("150000", "9000"), "bytes=0-9").status_code == 206
    assert len(client("GET", path).content) > 150_000_000


def test_ranges_that_are_none(client: Client) -> None:
    path = "/v0/pipes/totals.csv"
    size = len(client("GET", path).content)
    for range_ in ("bytes=0-1,3-4", "rows=0-1", "bytes=5-2", "bytes=-", "bytes=a-b", "nonsense"):
        answer = ranged(client, path, range_)
        assert (answer.status_code, len(answer.content)) == (200, size), range_
    for range_ in (f"bytes={size}-", "bytes=-0", "bytes=999999999-"):
        answer = ranged(client, path, range_)
        assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{size}"), range_
        assert answer.json()["error"]
    assert client("POST", path, headers={"Range": "bytes=0-1"}).status_code == 200


def test_a_head_sees_what_was_written(client: Client) -> None:
    path = "/v0/sql?q=SELECT+*+FROM+events+FORMAT+CSV"
    before = client("HEAD", path)
    client.workspace.ingest("events", [{"id": "z", "amount": 9, "at": "2026-01-05 00:00:00"}])
    held = ranged(client, path, "bytes=0-", **{"If-Match": before.headers["etag"]})
    after = client("HEAD", path)
    assert int(after.headers["content-length"]) > int(before.headers["content-length"]) == len(held.content)
    assert len(ranged(client, path, "bytes=0-").content) == int(after.headers["content-length"])
    # Who began with the result before still gets its pieces.
    again = ranged(client, path, "bytes=0-", **{"If-Match": before.headers["etag"]})
    assert (again.status_code, again.content) == (206, held.content)
    wrong = ranged(client, path, "bytes=0-1", **{"If-Match": '"other"'})
    assert (wrong.status_code, "changed" in wrong.json()["error"]) == (412, True)
    whole = ranged(client, path, "bytes=0-1", **{"If-Range": '"other"'})
    assert (whole.status_code, len(whole.content)) == (200, int(after.headers["content-length"]))


def test_a_held_result_is_for_its_token_only_and_while_that_is_one(client: Client) -> None:
    path = "/v0/pipes/totals.csv"
    client("POST", "/v0/tokens?name=short&scope=PIPES:READ:totals")
    assert client("HEAD", path, token="short").status_code == 200
    assert ranged(client, path, "bytes=0-1").status_code == 206
    value = client.token("short").value
    client("DELETE", "/v0/tokens/short")
    gone = client("GET", path, token=None, headers={"Authorization": f"Bearer {value}", "Range": "bytes=0-1"})
    assert gone.status_code == 403
    assert client("HEAD", path, token=None).status_code == 403
    assert client("HEAD", "/v0/pipes/strict.csv?a=1").status_code == 400


def held(size: int, name: str = "a") -> HeldResult:
    return HeldResult(b"x" * size, f'"{name}{size}"', {})


def test_what_is_held_is_bounded() -> None:
    results = HeldResults(100_000, 60)
    results.hold("one", held(60_000))
    results.hold("two", held(50_000))
    assert results.find("one") is None
    assert results.find("two") == held(50_000)
    results.hold("two", held(101_000))
    assert results.find("two") == held(50_000)
    results.hold("two", held(40_000))
    assert (results.find("two"), results.find("two", '"a50000"')) == (held(40_000), held(50_000))
    short = HeldResults(100_000, 0.05)
    short.hold("one", held(60_000))
    time.sleep(0.1)
    assert short.find("one") is None
    assert short._size == 0
    assert HeldResults(0, 60).find("one") is None


def test_the_urls_of_held_results_count() -> None:
    """A row that is asked for by a long URL takes the memory of the URL."""
    results = HeldResults(100_000, 60)
    for number in range(100):
        results.hold(("reader", "/", f"{number:050000}".encode()), held(1))
        assert len(results._held) <= 2
    assert results.find(("reader", "/", f"{99:050000}".encode())) == held(1)


ASKED = (
    "/v0/pipes/totals.csv",
    "/v1/pipes/totals.json",
    "/v0/pipes/totals.csv?q=SELECT+*+FROM+_",
    "/v0/sql?q=SELECT+*+FROM+totals+FORMAT+CSV",
    "/v0/sql?q=SELECT+*+FROM+_+FORMAT+CSV&pipeline=totals",
    "/v0/sql?q=SELECT+id+FROM+events+ORDER+BY+id+FORMAT+CSV",
    "/?query=SELECT+*+FROM+totals+FORMAT+CSV",
    "/?query=SELECT+id+FROM+events+ORDER+BY+id+FORMAT+CSV",
)


def _rights(least: int, id_: str) -> list[dict[str, Any]]:
    return [
        {"type": "PIPES:READ", "resource": "totals", "fixed_params": {"least": least, "ids": id_}},
        {"type": "DATASOURCES:READ", "resource": "events", "filter": f"id = '{id_}'"},
    ]


def _asks(client: Client, method: str, path: str, value: str, **headers: str) -> httpx.Response:
    return client(method, path, token=None, headers={"Authorization": f"Bearer {value}", **headers})


@pytest.mark.parametrize("first", ["HEAD", "GET"])
@pytest.mark.parametrize("path", ASKED)
def test_a_held_result_is_for_nobody_with_other_rights(client: Client, path: str, first: str) -> None:
    """JWTs are often signed with one name for all users: they are several tokens nevertheless."""
    sign = partial(client.instance.tokens.sign, client.workspace.id, "user", time.time() + 600)
    one, other, few = (sign(_rights(0, "a"), {}), sign(_rights(0, "b"), {}), sign(_rights(9, "a"), {}))
    pieces = {}
    for value in (one, other, few):
        assert _asks(client, first, path, value, Range="bytes=0-").status_code in {200, 206, 416}
        pieces[value] = _asks(client, "GET", path, value, Range="bytes=0-")
    whole = {value: _asks(client, "GET", path, value) for value in pieces}
    rows = {value: reply.content for value, reply in whole.items() if not path.endswith("json")}
    for value, content in rows.items():
        assert (pieces[value].status_code, pieces[value].content) == (206, content) or not content
    assert b'"b"' not in pieces[one].content
    assert b'"a"' not in pieces[other].content
    stolen = _asks(client, "GET", path, other, Range="bytes=0-", **{"If-Match": pieces[one].headers["etag"]})
    assert stolen.status_code == 412


@pytest.mark.parametrize("path", ASKED)
def test_a_held_result_ends_with_the_rights_that_it_was_given_for(client: Client, path: str) -> None:
    def put(rights: list[dict[str, Any]]) -> None:
        assert client("PUT", "/v0/tokens/changing", json={"scopes": rights}).status_code == 200

    value = client("POST", "/v0/tokens?name=changing", json={"scopes": _rights(0, "a")}).json()["token"]
    assert b'"a"' in _asks(client, "GET", path, value, Range="bytes=0-").content
    put(_rights(0, "b"))
    assert b'"a"' not in _asks(client, "GET", path, value, Range="bytes=0-").content
    put([{"type": "PIPES:READ", "resource": "strict"}])
    assert _asks(client, "GET", path, value, Range="bytes=0-").status_code == 403
