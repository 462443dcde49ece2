from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable

import httpx
import lz4.frame
import pytest
import zstandard
from hypothesis import given, strategies as st
from starlette.types import Message, Receive, Scope, Send

from clickpipe.server.compression import Compression, accepted
from tests.server.conftest import Client

UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    "lz4": lz4.frame.decompress,
}


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("", ""),
        ("identity", ""),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip, deflate, br", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("gzip;q=0", ""),
        ("GZIP ; Q=0.5", "gzip"),
        ("*", "zstd"),
        ("*;q=0", ""),
        ("zstd;q=0, *", "gzip"),
        ("lz4", "lz4"),
        ("gzip;q=nonsense", ""),
        ("br", ""),
        (",,;;", ""),
    ],
)
def test_the_encoding_is_the_best_that_is_accepted(header: str, name: str) -> None:
    assert accepted(header) == name


def through(parts: list[bytes], name: str, content_type: bytes = b"text/csv", least: int = 10) -> list[Message]:
    """Return what is sent of a body in parts."""
    sent: list[Message] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", content_type)]})
        for number, part in enumerate(parts):
            await send({"type": "http.response.body", "body": part, "more_body": number < len(parts) - 1})

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "headers": [(b"accept-encoding", name.encode())],
        "state": {"headers": {}, "given": {b"accept-encoding": name.encode()}},
    }
    asyncio.run(Compression(app, least)(scope, receive, send))
    return sent


@given(st.lists(st.binary(max_size=300) | st.binary(min_size=1).map(lambda b: b * 2_000), min_size=1, max_size=5))
def test_any_body_in_any_parts_arrives(parts: list[bytes]) -> None:
    for name, unpack in UNPACK.items():
        start, *bodies = through(parts, name)
        headers = dict(start["headers"])
        body = b"".join(message["body"] for message in bodies)
        packed = headers.get(b"content-encoding") == name.encode()
        assert packed is (len(parts) > 1 or len(parts[0]) >= 10)
        assert (unpack(body) if packed else body) == b"".join(parts)
        assert [message["more_body"] for message in bodies] == [True] * (len(parts) - 1) + [False]


def test_each_part_can_be_read_at_once() -> None:
    _, first, _ = through([b"first part, " * 9, b"second"], "gzip")
    assert zlib.decompressobj(31).decompress(first["body"]) == b"first part, " * 9
    _, first, _ = through([b"first part, " * 9, b"second"], "zstd")
    assert zstandard.ZstdDecompressor().decompressobj().decompress(first["body"]) == b"first part, " * 9


@pytest.mark.parametrize(
    "content_type", [b"application/vnd.apache.parquet", b"image/png", b"application/vnd.apache.orc"]
)
def test_what_is_compressed_by_itself_is_left_alone(content_type: bytes) -> None:
    start, body = through([b"a" * 5_000], "gzip", content_type)
    assert (dict(start["headers"]), body["body"]) == ({b"content-type": content_type}, b"a" * 5_000)


ROWS = "SELECT number AS n, 'some text' AS t FROM numbers(2000)"


def test_answers_of_each_family(client: Client, port: int) -> None:
    token = client.token("workspace admin token").value
    for path, params in (
        ("/v0/sql", {"q": ROWS}),
        ("/v0/sql", {"q": f"{ROWS} FORMAT CSV"}),
        ("/", {"query": ROWS}),
        ("/", {"query": f"{ROWS} FORMAT Native"}),
        ("/v0/pipes/totals.ndjson", {"q": ROWS}),
        ("/v0/pipes", {}),
    ):
        bodies = {}
        for encoding in ("identity", "gzip", "zstd", "lz4"):
            headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": encoding}
            with httpx.stream("GET", f"http://127.0.0.1:{port}{path}", params=params, headers=headers) as answer:
                raw = b"".join(answer.iter_raw())
            assert answer.headers.get("content-encoding", "identity") == encoding
            assert "Accept-Encoding" in answer.headers["vary"]
            assert int(answer.headers["content-length"]) == len(raw)
            bodies[encoding] = UNPACK.get(encoding, bytes)(raw)
            assert encoding == "identity" or len(raw) < len(bodies["identity"]) / 2
        if "statistics" not in bodies["gzip"].decode(errors="replace"):
            assert len({*bodies.values()}) == 1, path
    told = client("GET", "/v0/sql", params={"q": ROWS}, headers={"Accept-Encoding": "gzip"})
    assert ", compress;dur=" in told.headers["server-timing"]


def test_a_result_in_parts_is_compressed_in_parts(client: Client, port: int) -> None:
    rows = 400_000
    params = {"q": f"SELECT number AS n, 'some text' AS t FROM numbers({rows}) FORMAT CSV"}
    headers = {"Authorization": f"Bearer {client.token('workspace admin token').value}"}
    for encoding in ("gzip", "zstd"):
        headers["Accept-Encoding"] = encoding
        with httpx.stream("GET", f"http://127.0.0.1:{port}/v0/sql", params=params, headers=headers) as answer:
            raw = b"".join(answer.iter_raw())
        assert answer.headers["transfer-encoding"] == "chunked"
        assert answer.headers["content-encoding"] == encoding
        assert UNPACK[encoding](raw).count(b"\n") == rows


def test_small_answers_and_errors_are_sent_as_they_are(client: Client) -> None:
    for path in ("/v0/health", "/v0/sql?q=SELECT+1", "/v0/sql?q=SELECT+nope", "/v0/pipes/totals.parquet"):
        answer = client("GET", path, headers={"Accept-Encoding": "gzip"})
        assert "content-encoding" not in answer.headers, path
        assert "vary" not in answer.headers, path


def test_an_etag_holds_for_each_encoding(client: Client) -> None:
    lines = "\n".join(json.dumps({"id": f"id-{n}", "amount": 1, "at": "2026-01-01 00:00:00"}) for n in range(100))
    client("POST", "/v0/events?name=events&wait=true", content=lines.encode())
    path = "/v0/pipes/totals.json?limit=100"
    plain = client("GET", path, headers={"Accept-Encoding": "identity"})
    packed = client("GET", path, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["etag"] == plain.headers["etag"]
    assert packed.headers["etag"].startswith('W/"')  # weak: one name for several encodings
    assert packed.json() == plain.json()
    for etag in (packed.headers["etag"], plain.headers["etag"]):
        again = client("GET", path, headers={"Accept-Encoding": "gzip", "If-None-Match": etag})
        assert (again.status_code, again.content) == (304, b"")


def test_clickhouses_own_compression_is_not_compressed_again(client: Client) -> None:
    answer = client("POST", "/", params={"compress": "1"}, content=ROWS.encode(), headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in answer.headers
