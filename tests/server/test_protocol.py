"""Requests that cannot be read, over a socket: an error in JSON, and the server goes on."""

from __future__ import annotations

import dataclasses
import json
import socket

import httpx
import pytest

from clickpipe.observe.logs import Repeated
from clickpipe.server import serve_in_thread
from clickpipe.server.protocol import MAX_HEADERS, MAX_URL
from tests.server.conftest import Client


def send(port: int, data: bytes) -> tuple[int, dict[str, str], bytes]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(data)
        found = b""
        while part := connection.recv(65536):
            found += part
    head, _, body = found.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, body


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET /v0/health HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n", 400),
        (b"GET /v0/health HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40, 400),  # TLS to the port of plain HTTP
        (b"GET /v0/sql?q=" + b"a" * MAX_URL + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET /v0/sql?q=" + b"a" * 3_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"X-A: " + b"a" * MAX_HEADERS + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X-A: aaaaaaaaaa\r\n" * 30_000 + b"\r\n", 431),
    ],
)
def test_what_cannot_be_read(port: int, data: bytes, status: int) -> None:
    try:
        found, headers, body = send(port, data)
    except (BrokenPipeError, ConnectionResetError):
        assert len(data) > MAX_URL  # the rest was not taken any more
    else:
        assert (found, headers["content-type"], headers["connection"]) == (status, "application/json", "close")
        assert json.loads(body)["error"]
        assert int(headers["content-length"]) == len(body)
    assert httpx.get(f"http://127.0.0.1:{port}/v0/health").json()["status"] == "ok"


def test_long_urls_that_can_be_read(port: int) -> None:
    answer = httpx.get(f"http://127.0.0.1:{port}/v0/health?q={'a' * (MAX_URL - 100)}")
    assert answer.status_code == 200


_ORIGIN = b"GET /v0/health HTTP/1.1\r\nOrigin: %s\r\nHost: x\r\n"
_UNREADABLE = [
    (_ORIGIN + b"bad header\r\n\r\n", 400),
    (_ORIGIN + b"Content-Length: many\r\n\r\n", 400),
    (_ORIGIN + b"X-A: " + b"a" * (MAX_HEADERS + 1) + b"\r\n\r\n", 431),
]


@pytest.mark.parametrize(("data", "status"), _UNREADABLE)
@pytest.mark.parametrize(
    ("listed", "origin", "allowed"),
    [
        ("*", b"https://a.example", "*"),
        ("https://a.example", b"https://a.example", "https://a.example"),
        ("https://a.example", b"https://evil.example", None),
        ("", b"https://evil.example", None),
    ],
)
def test_pages_of_other_origins_read_of_malformed_requests_what_they_read_of_others(
    empty: Client, monkeypatch: pytest.MonkeyPatch, data: bytes, status: int, listed: str, origin: bytes, allowed: str
) -> None:
    settings = dataclasses.replace(empty.instance.settings, cors_origins=listed)
    monkeypatch.setattr(empty.instance._services, "settings", settings)
    with serve_in_thread(empty.instance) as url:
        found, headers, _ = send(int(url.rsplit(":", 1)[1]), data.replace(b"%s", origin))
        plain = httpx.get(f"{url}/v0/health", headers={"Origin": origin.decode()}).headers
    assert found == status
    for name in ("access-control-allow-origin", "access-control-expose-headers", "vary", "x-content-type-options"):
        assert headers.get(name) == (value.lower() if (value := plain.get(name)) else None)
    assert headers.get("access-control-allow-origin") == allowed


def test_malformed_requests_add_few_lines_to_the_log(port: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(kept := Repeated())
    try:
        for _ in range(20):
            send(port, b"nonsense\r\n\r\n")
            send(port, b"GET /v0/health HTTP/1.1\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n")
    finally:
        caplog.handler.removeFilter(kept)
    assert 0 < len([record for record in caplog.records if record.name == "uvicorn.error"]) <= 3
