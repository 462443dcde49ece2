"""Every route with bodies that nobody asked for, over a real socket: too large, endless, packed, of another kind.

Before a token was looked at nothing of a body is read; behind it, no more than its limit. Nothing is answered with 5xx.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import resource
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest
import zstandard

from clickpipe.auth import ADMIN_TOKEN
from clickpipe.config import Settings
from clickpipe.runtime import Instance
from clickpipe.server import serve_in_thread
from clickpipe.server.app import ROUTES
from tests.server.conftest import FILES

LIMIT = 1_000_000
PUBLIC = {"/v0/health", "/v0/ready", "/ping", "/version", "/v0/regions", "/examples/query.http"} | {
    *("/api/cli-login", "/clickpipe/local/cli-login", "/")
}
_NAMES = {"{name}.{format}": "totals.json", "{name}": "events", "{node}": "n", "{id:number}": "99", "{id}": "nothing"}


def _path(path: str) -> str:
    for hole, name in _NAMES.items():
        path = path.replace(hole, name)
    return path


EVERY = [(method, _path(path)) for method, path, _ in ROUTES]
WITH_BODY = [(method, path) for method, path in EVERY if method in {"POST", "PUT"}]
QUERY = "?name=events&mode=append&format=csv&wait=true&url="


@dataclass
class Address:
    port: int
    admin: str


@pytest.fixture(scope="module")
def at() -> Iterator[Address]:
    with Instance(None, Settings(max_body_bytes=LIMIT, max_project_bytes=LIMIT, import_max_bytes=LIMIT)) as instance:
        instance.default.deploy(FILES)
        admin = next(t for t in instance.catalog.tokens.all(instance.default.id) if t.name == ADMIN_TOKEN)
        with serve_in_thread(instance) as url:
            yield Address(int(url.rsplit(":", 1)[1]), admin.value)


@dataclass
class Reply:
    """What came back, after how many seconds, and how much of the body had been taken by then."""

    status: int
    text: str
    seconds: float
    sent: int


def send(at: Address, head: str, body: Iterable[bytes] = (), wait: float = 20) -> Reply:
    """Send a request, its body part by part until an answer comes; raise TimeoutError where none does."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", at.port), timeout=wait) as connection:
        connection.sendall(head.encode())
        answered, sent = threading.Event(), 0

        def pour() -> None:
            nonlocal sent
            with contextlib.suppress(OSError):
                for part in body:
                    if answered.is_set():
                        return
                    connection.sendall(part)
                    sent += len(part)

        pouring = threading.Thread(target=pour, daemon=True)
        pouring.start()
        answer = b""
        with contextlib.suppress(ConnectionError):
            while not _is_whole(answer) and (block := connection.recv(65536)):
                answer += block
        answered.set()
        seconds = time.monotonic() - began
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    pouring.join(5)
    top, _, text = answer.partition(b"\r\n\r\n")
    return Reply(int(top.split(b" ")[1]) if top else 0, text.decode(errors="replace"), seconds, sent)


def _is_whole(answer: bytes) -> bool:
    head, gap, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    return bool(gap) and (len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n"))


def head(method: str, path: str, *lines: str, token: str = "") -> str:
    more = [f"Authorization: Bearer {token}"] if token else []
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", *lines, *more, "", ""])


def chunks(size: int) -> Iterator[bytes]:
    """Yield a body in chunks of 64 kB."""
    block = b"x" * 65_536
    for _ in range(size // len(block)):
        yield b"%x\r\n%s\r\n" % (len(block), block)
    yield b"0\r\n\r\n"


def ids(routes: list[tuple[str, str]]) -> list[str]:
    return [f"{method} {path}" for method, path in routes]


CLOSED = [(method, path) for method, path in EVERY if path not in PUBLIC]


@pytest.mark.parametrize(("method", "path"), CLOSED, ids=ids(CLOSED))
@pytest.mark.parametrize("token", ["", "p.wrong"], ids=["none", "wrong"])
def test_nothing_of_a_body_is_read_before_the_token(at: Address, method: str, path: str, token: str) -> None:
    """An answer comes although nothing of the body does: one that says how long it is, and one that does not."""
    for line in ("Content-Length: 1000000000000", "Transfer-Encoding: chunked"):
        reply = send(at, head(method, path + QUERY, line, "Expect: 100-continue", token=token), wait=10)
        assert reply.status == 403, (line, reply)
        assert json.loads(reply.text)["error"]


@pytest.mark.parametrize(("method", "path"), WITH_BODY, ids=ids(WITH_BODY))
def test_a_body_is_read_to_its_limit_at_most(at: Address, method: str, path: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reply = send(at, head(method, path + QUERY, "Transfer-Encoding: chunked", token=at.admin), chunks(60_000_000))
    assert 200 <= reply.status < 500, reply
    reply = send(at, head(method, path + QUERY, "Content-Length: 60000000", token=at.admin), chunks(60_000_000))
    assert 200 <= reply.status < 500, reply
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # KB


BOMBS = {
    "gzip": gzip.compress(b"0" * 100_000_000, 9, mtime=0)[:],
    "zstd": zstandard.compress(b"0" * 100_000_000),
    "gzip, gzip": gzip.compress(gzip.compress(b"0" * 100_000_000, 9), 9, mtime=0),
    "br": b"\x00" * 100,
}


@pytest.mark.parametrize(("method", "path"), WITH_BODY, ids=ids(WITH_BODY))
def test_what_is_packed_is_counted_as_it_is(at: Address, method: str, path: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for encoding, body in BOMBS.items():
        lines = (f"Content-Encoding: {encoding}", f"Content-Length: {len(body)}", "Content-Type: text/csv")
        reply = send(at, head(method, path + QUERY, *lines, token=at.admin), iter([body]))
        assert 200 <= reply.status < 500, (encoding, reply)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 90_000  # KB


ODD = {
    "a JSON array": ("application/json", b"[1, 2]"),
    "a JSON text": ("application/json", b'"x"'),
    "deep JSON": ("application/json", b"[" * 50_000),
    "broken JSON": ("application/json", b'{"a": '),
    "NULs": ("application/x-www-form-urlencoded", b"\0=\0&" * 100),
    "not UTF-8": ("application/x-www-form-urlencoded", b"\xff\xfe=%ff%fe"),
    "many fields": ("application/x-www-form-urlencoded", b"a=1&" * 20_000),
    "broken multipart": ("multipart/form-data; boundary=x", b"--y\r\nnothing"),
    "multipart without end": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="csv"\r\n\r\n1',
    ),
    "no boundary": ("multipart/form-data", b"--x--"),
    "an unknown type": ("application/x-nothing", b"\x00\x01\x02"),
    "an odd type": ("text/plain; charset=nope", b"SELECT 1"),
    "nothing": ("application/json", b""),
}  # fmt: skip


@pytest.mark.parametrize("part", ["", '; filename="rows.csv"'], ids=["fields", "files"])
@pytest.mark.parametrize(("method", "path"), WITH_BODY, ids=ids(WITH_BODY))
def test_the_parts_of_a_form_have_a_limit_together(at: Address, method: str, path: str, part: str) -> None:
    """Each may be small enough: all of them lie in memory, or on disk."""

    def parts() -> Iterator[bytes]:
        for number in range(300):
            yield f'--x\r\nContent-Disposition: form-data; name="f{number}"{part}\r\n\r\n'.encode()
            yield b"1" * 900_000 + b"\r\n"
        yield b"--x--\r\n"

    body = (b"%x\r\n%b\r\n" % (len(one), one) for one in parts())
    lines = ("Content-Type: multipart/form-data; boundary=x", "Transfer-Encoding: chunked")
    reply = send(at, head(method, path + QUERY, *lines, token=at.admin), body)
    assert reply.sent < 200 * LIMIT, reply  # what is on the way when it is answered is many times the limit


@pytest.mark.parametrize(("method", "path"), WITH_BODY, ids=ids(WITH_BODY))
def test_bodies_of_another_kind_are_the_caller_s_mistake(at: Address, method: str, path: str) -> None:
    for what, (kind, body) in ODD.items():
        lines = (f"Content-Type: {kind}", f"Content-Length: {len(body)}")
        for query in ("", QUERY):
            reply = send(at, head(method, path + query, *lines, token=at.admin), iter([body]))
            assert 200 <= reply.status < 500, (what, reply)
            if reply.status >= 400 and path != "/":
                assert json.loads(reply.text).get("error") or "errors" in reply.text, (what, reply)


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: -1",),
        ("Content-Length: x",),
        ("Content-Length: 5", "Content-Length: 6"),
        ("Content-Length: 99999999999999999999999999",),
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding: nothing",),
    ],
)
def test_lengths_that_are_none_are_refused(at: Address, lines: tuple[str, ...]) -> None:
    for method, path in WITH_BODY[:4]:
        with contextlib.suppress(TimeoutError):
            reply = send(at, head(method, path, *lines), iter([b"hello"]), wait=3)
            assert reply.status in {0, 400, 403}, reply
    assert send(at, head("GET", "/v0/health")).status == 200
