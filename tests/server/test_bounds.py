"""What one connection may make the server hold, over a real socket."""

from __future__ import annotations

import contextlib
import resource
import socket

import pytest

HEAD = b"GET /v0/health HTTP/1.1\r\nHost: a\r\n"


def send(port: int, *parts: bytes) -> bytes:
    """Send the parts until the server closes; return what it answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
        answer = b""
        with contextlib.suppress(ConnectionError, TimeoutError):
            connection.settimeout(5)
            while block := connection.recv(65536):
                answer += block
                if answer.endswith(b"}"):
                    break
    return answer


@pytest.mark.parametrize(
    "parts",
    [
        [HEAD, *(b"X-%d: %s\r\n" % (n, b"a" * 100_000) for n in range(50))],
        [HEAD + b"X: ", *(b"a" * 100_000 for _ in range(50))],
        [b"GET /v0/health?", *(b"a" * 100_000 for _ in range(50))],
        [HEAD, *(b"X-%d: a\r\n" % n for n in range(500_000))],
        [
            b"POST /v0/health HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            *(b"X-%d: %s\r\n" % (n, b"a" * 10_000) for n in range(500)),
        ],
    ],
    ids=["many headers", "one long header", "a long path", "small headers", "headers behind a body"],
)
def test_headers_without_end_are_not_held(port: int, parts: list[bytes]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = send(port, *parts)
    assert answer == b"" or answer.split(b" ")[1] in {b"400", b"405", b"414", b"431"}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KB


def test_what_a_client_sends_at_once_is_taken(port: int) -> None:
    whole = HEAD + b"X: %s\r\n\r\n" % (b"a" * 100_000)
    assert b" 200 " in send(port, whole).split(b"\r\n")[0]
    assert b" 200 " in send(port, HEAD + b"\r\n" + HEAD + b"\r\n").split(b"\r\n")[0]
