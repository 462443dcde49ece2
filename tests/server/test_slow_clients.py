"""Requests that never come to an end, over a real socket: each is given up in time, and others are answered."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from clickpipe.auth import ADMIN_TOKEN
from clickpipe.config import Settings
from clickpipe.runtime import Instance
from clickpipe.server import serve_in_thread
from clickpipe.server.protocol import JsonErrors
from tests.server.conftest import FILES

WHOLE = b"GET /v0/health HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(scope="module")
def at() -> Iterator[tuple[int, str]]:
    patch = pytest.MonkeyPatch()
    patch.setattr(JsonErrors, "head_seconds", 0.6)
    with Instance(None, Settings(request_body_seconds=0.6)) as instance:
        instance.default.deploy(FILES)
        admin = next(t for t in instance.catalog.tokens.all(instance.default.id) if t.name == ADMIN_TOKEN)
        with serve_in_thread(instance) as url:
            yield int(url.rsplit(":", 1)[1]), admin.value
    patch.undo()


def trickle(port: int, first: bytes, again: bytes, seconds: float = 30.0) -> tuple[float, bytes]:
    """Send a beginning, then a little more from time to time; return when the server closed, and what it said."""
    began, answer = time.monotonic(), b""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(first)
        connection.settimeout(0.1)
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began < seconds:
                with contextlib.suppress(TimeoutError):
                    block = connection.recv(65536)
                    answer += block
                    if not block or (not again and b"\r\n\r\n" in answer):
                        break
                if again:
                    connection.sendall(again)
    return time.monotonic() - began, answer


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"", b""),
        (b"GET /v0/health HTTP/1.1\r\n", b""),
        (b"GET /v0/health HTTP/1.1\r\n", b"X-A: b\r\n"),
        (b"GET /v0/health HTTP/1.1\r\nX: ", b"a"),
        (b"GET /v0/heal", b"t"),
        (b"G", b""),
        (b"\r\n", b"\r\n"),
        (WHOLE + b"GET /v0/heal", b"t"),
        (WHOLE + b"GET /v0/health HTTP/1.1\r\n", b"X-A: b\r\n"),
    ],
)
def test_headers_come_in_time_or_the_connection_ends(at: tuple[int, str], first: bytes, again: bytes) -> None:
    seconds, answer = trickle(at[0], first, again)
    assert seconds < 30, "it is open still"
    assert answer.count(b"HTTP/1.1 200") == int(first.startswith(WHOLE))
    assert trickle(at[0], WHOLE, b"")[1].startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("path", ["/v0/events?name=events", "/v0/sql", "/v0/pipes/totals.json", "/v1/deploy", "/"])
@pytest.mark.parametrize("length", [b"Content-Length: 1000", b"Transfer-Encoding: chunked"])
def test_bodies_keep_coming_or_are_given_up(at: tuple[int, str], path: str, length: bytes) -> None:
    port, admin = at
    head = b"POST %s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n%s\r\n\r\n" % (
        path.encode(),
        admin.encode(),
        length,
    )
    seconds, answer = trickle(port, head, b"")
    assert seconds < 30, "it is open still"
    assert b" 408 " in answer.split(b"\r\n")[0] or b" 400 " in answer.split(b"\r\n")[0], answer
