"""Bodies that break things elsewhere: each gets its status and its counts, and the next client notices nothing."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
import zstandard

from tests.server.conftest import Client

ROW = b'{"id":"x","amount":5,"at":"2026-02-01 00:00:00"}'
DEEP = b'{"id":' + b"[" * 100_000 + b"]" * 100_000 + b',"amount":5,"at":"2026-02-01 00:00:00"}'
HUGE = b"9" * 100_000

GZIP, ZSTD = {"Content-Encoding": "gzip"}, {"Content-Encoding": "zstd"}


def row(id_: bytes = b'"x"', amount: bytes = b"5") -> bytes:
    return b'{"id":' + id_ + b',"amount":' + amount + b',"at":"2026-02-01 00:00:00"}'


@pytest.mark.parametrize(
    ("body", "headers", "status", "counts"),
    [
        pytest.param(row(b'"\xff\xfe"'), {}, 200, (0, 1), id="invalid UTF-8"),
        pytest.param(b"\xff\xfe\n" + ROW, {}, 200, (1, 1), id="a line of invalid UTF-8"),
        pytest.param(DEEP, {}, 200, (0, 1), id="deep nesting"),
        pytest.param(b'{"id":"x","id":"y","amount":5,"at":"2026-02-01 00:00:00"}', {}, 200, (1, 0), id="a key twice"),
        pytest.param(row(amount=HUGE), {}, 200, (0, 1), id="a huge number"),
        pytest.param(row(amount=b"1e999999999"), {}, 200, (0, 1), id="a huge exponent"),
        pytest.param(row(amount=b"2147483648"), {}, 200, (0, 1), id="one too many"),
        pytest.param(row(amount=b"NaN"), {}, 200, (0, 1), id="NaN"),
        pytest.param(row(amount=b"-Infinity"), {}, 200, (0, 1), id="infinity"),
        pytest.param(row(b'"\\ud800"'), {}, 200, (0, 1), id="half of a surrogate pair"),
        pytest.param(row(b'"\\u0000"'), {}, 200, (1, 0), id="a NUL"),
        pytest.param(b"\n\n \n" + ROW + b"\n\r\n\t\n" + ROW + b"\n\n", {}, 200, (2, 0), id="empty lines"),
        pytest.param(b"\xef\xbb\xbf" + ROW, {}, 200, (1, 0), id="a BOM"),
        pytest.param(b"", {}, 200, (0, 0), id="nothing"),
        pytest.param(b"\0" * 1000, {}, 200, (0, 1), id="NULs"),
        pytest.param(b"{" * 1000, {}, 200, (0, 1), id="open brackets"),
        pytest.param(ROW[:-1], {}, 200, (0, 1), id="a bracket that is missing"),
        pytest.param(ROW + ROW, {}, 200, (0, 1), id="two objects in a line"),
        pytest.param(b"[" + ROW + b"]", {}, 200, (1, 0), id="an array of objects"),
        pytest.param(gzip.compress(ROW, mtime=0), GZIP, 200, (1, 0), id="gzip"),
        pytest.param(zstandard.compress(ROW), ZSTD, 200, (1, 0), id="zstd"),
        pytest.param(gzip.compress(ROW, mtime=0)[:-4], GZIP, 400, None, id="truncated gzip"),
        pytest.param(zstandard.compress(ROW)[:-4], ZSTD, 400, None, id="truncated zstd"),
        pytest.param(ROW, GZIP, 400, None, id="no gzip"),
        pytest.param(ROW, ZSTD, 400, None, id="no zstd"),
        pytest.param(ROW, {"Content-Encoding": "br"}, 400, None, id="another encoding"),
        pytest.param(gzip.compress(b"\0" * 200_000_000, 9, mtime=0), GZIP, 413, None, id="a gzip bomb"),
        pytest.param(zstandard.compress(b"\0" * 200_000_000), ZSTD, 413, None, id="a zstd bomb"),
        pytest.param(b"x" * 10_000_001, {}, 413, None, id="too long"),
    ],
)
def test_each_gets_its_status_and_its_counts(
    client: Client, body: bytes, headers: dict[str, str], status: int, counts: tuple[int, int] | None
) -> None:
    response = client("POST", "/v0/events?name=events&wait=true", content=body, headers=headers)
    assert response.status_code == status
    reply: dict[str, Any] = response.json()
    if counts is None:
        assert reply["error"]
    else:
        assert (reply["successful_rows"], reply["quarantined_rows"]) == counts
    next_one = client("POST", "/v0/events?name=events&wait=true", content=ROW)
    assert next_one.json() == {"successful_rows": 1, "quarantined_rows": 0}
    rows = client.workspace.sql("SELECT count() AS n FROM events WHERE amount = 5")
    assert rows == [{"n": 1 + (counts[0] if counts else 0)}]


@pytest.mark.parametrize("body", [b"[" * 100_000, b'[{"a":' * 50_000, DEEP])
def test_deep_documents_are_no_server_error(client: Client, body: bytes) -> None:
    response = client("POST", "/v0/events?name=events&wait=true&format=json", content=body)
    assert (response.status_code, response.json()) == (200, {"successful_rows": 0, "quarantined_rows": 1})
