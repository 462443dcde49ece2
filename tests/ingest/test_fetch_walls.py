"""Files from the web, from servers and resolvers that mean no good: what was looked at is what is called, in time."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import fetch

PUBLIC, PRIVATE = "127.0.0.2", "127.0.0.1"  # two addresses of this machine, of which the first is taken for public
MODULE = sys.modules[fetch.__module__]
Answer = Callable[[socket.socket, str], None]


class Site:
    """Servers on one port of both addresses; `called` are those that were called, with the Host they were asked for."""

    def __init__(self) -> None:
        self.called: list[tuple[str, str]] = []
        self.answers: dict[str, Answer] = {}
        first = socket.create_server((PUBLIC, 0))
        self.port: int = first.getsockname()[1]
        self._listeners = [first, socket.create_server((PRIVATE, self.port))]
        for listener in self._listeners:
            threading.Thread(target=self._serve, args=(listener,), daemon=True).start()

    def _serve(self, listener: socket.socket) -> None:
        address = listener.getsockname()[0]
        while True:
            try:
                wire, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(wire, address), daemon=True).start()

    def _answer(self, wire: socket.socket, address: str) -> None:
        with wire:
            head = wire.recv(65536).decode("latin-1")
            path = head.split(" ")[1]
            host = next((line[6:] for line in head.split("\r\n") if line.startswith("Host: ")), "")
            self.called.append((address, host.partition(":")[0]))
            try:
                self.answers.get(path, _rows)(wire, path)
            except OSError:
                return

    def close(self) -> None:
        for listener in self._listeners:
            listener.close()


def _reply(wire: socket.socket, body: bytes = b"", status: str = "200 OK", *headers: str) -> None:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    wire.sendall("\r\n".join([*lines, "", ""]).encode() + body)


def _rows(wire: socket.socket, _: str) -> None:
    _reply(wire, b"12345")


def _moved(to: str) -> Answer:
    return lambda wire, _: _reply(wire, b"", "302 Found", f"Location: {to}")


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    found = Site()
    monkeypatch.setattr(MODULE, "is_public", lambda address: address == PUBLIC)
    yield found
    found.close()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """What a resolver answers by name, another answer each time it is asked; the last one stays."""
    told: dict[str, list[list[str]]] = {}
    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *rest: int, **more: int) -> Sequence[tuple[object, ...]]:
        if host not in told:
            return real(host, port, *rest, **more)
        answers = told[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return told


def get(url: str, into: Path, *, seconds: float = 20.0, private: bool = False) -> bytes:
    fetch(url, into, private=private, limit=100, progress=lambda _: None, seconds=seconds)
    return into.read_bytes()


def test_the_address_that_was_looked_at_is_called(
    site: Site, names: dict[str, list[list[str]]], tmp_path: Path
) -> None:
    """A resolver that says another address when it is asked again is not asked again."""
    names["rebind.test"] = [[PUBLIC], [PRIVATE]]
    assert get(f"http://rebind.test:{site.port}/rows", tmp_path / "file") == b"12345"
    assert site.called == [(PUBLIC, "rebind.test")]
    assert names["rebind.test"] == [[PRIVATE]]  # asked once


@pytest.mark.parametrize(
    "answers",
    [
        [[PRIVATE]],
        [[PUBLIC, PRIVATE]],
        [[PRIVATE, PUBLIC]],
        [[PUBLIC, "10.0.0.1"]],
        [["169.254.169.254"]],
        [["0.0.0.0"]],  # noqa: S104
    ],
)
def test_names_with_an_address_that_is_not_public_are_not_called(
    site: Site, names: dict[str, list[list[str]]], tmp_path: Path, answers: list[list[str]]
) -> None:
    names["inside.test"] = answers
    with pytest.raises(ClickpipeError, match="not public") as error:
        get(f"http://inside.test:{site.port}/rows", tmp_path / "file")
    assert error.value.status == 403
    assert site.called == []


@pytest.mark.parametrize(
    "to",
    [
        "http://inside.test:{port}/rows",  # another name
        "http://rebind.test:{port}/rows",  # the same name, which is another address by now
        "//inside.test:{port}/rows",
        "/again",  # the same server, by a name that is asked again
        f"http://{PRIVATE}:{{port}}/rows",
        "http://2130706433:{port}/rows",
        "http://0x7f000001:{port}/rows",
        "http://[::ffff:127.0.0.1]:{port}/rows",
        "http://user:pw@inside.test:{port}/rows",
        "HTTP://INSIDE.TEST:{port}/rows",
        "http://inside.test.:{port}/rows",
    ],
)
def test_redirects_are_looked_at_anew(site: Site, names: dict[str, list[list[str]]], tmp_path: Path, to: str) -> None:
    for name in ("inside.test", "INSIDE.TEST", "inside.test."):
        names[name] = [[PRIVATE]]
    names["rebind.test"] = [[PUBLIC], [PRIVATE]]
    site.answers["/moved"] = _moved(to.format(port=site.port))
    with pytest.raises(ClickpipeError, match="not public"):
        get(f"http://rebind.test:{site.port}/moved", tmp_path / "file")
    assert site.called == [(PUBLIC, "rebind.test")]
    assert not (tmp_path / "file").exists()


def test_a_redirect_to_a_public_address_is_followed_and_pinned(
    site: Site, names: dict[str, list[list[str]]], tmp_path: Path
) -> None:
    names["one.test"], names["two.test"] = [[PUBLIC], [PRIVATE]], [[PUBLIC], [PRIVATE]]
    site.answers["/moved"] = _moved(f"http://two.test:{site.port}/a b?q=ü")
    assert get(f"http://one.test:{site.port}/moved", tmp_path / "file") == b"12345"
    assert site.called == [(PUBLIC, "one.test"), (PUBLIC, "two.test")]


def _drip(before: bytes, drop: bytes) -> Answer:
    def answer(wire: socket.socket, _: str) -> None:
        wire.sendall(before)
        for _n in range(2000):
            wire.sendall(drop)
            time.sleep(0.02)

    return answer


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        _drip(b"", b"H"),
        _drip(HEAD + b"X: ", b"a"),
        _drip(HEAD, b"X: a\r\n"),
        _drip(HEAD + b"\r\n", b"1"),
        _drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        _drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x"),
        _drip(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
        lambda _wire, _path: time.sleep(30),
    ],
    ids=["status", "header", "headers", "body", "chunks", "chunk", "continue", "nothing"],
)
def test_a_slow_server_is_left_when_the_time_is_over(site: Site, tmp_path: Path, answer: Answer) -> None:
    """No part of an answer, however slowly it comes, takes more than the time of the whole."""
    site.answers["/slow"] = answer
    began = time.monotonic()
    with pytest.raises(ClickpipeError, match="too slow") as error:
        get(f"http://{PUBLIC}:{site.port}/slow", tmp_path / "file", seconds=0.5)
    assert error.value.status == 408
    assert time.monotonic() - began < 20


def test_redirects_have_one_time_together(site: Site, tmp_path: Path) -> None:
    def moved(wire: socket.socket, path: str) -> None:
        time.sleep(0.3)
        _moved(f"/slow{len(path)}")(wire, path)

    site.answers.update({f"/slow{n}": moved for n in ("", *map(str, range(20)))})
    with pytest.raises(ClickpipeError, match="too slow"):
        get(f"http://{PUBLIC}:{site.port}/slow", tmp_path / "file", seconds=0.5)


@pytest.mark.parametrize(
    "answer",
    [
        lambda wire, _: wire.sendall(HEAD + b"\r\n123"),  # and then it leaves
        lambda wire, _: wire.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n123"),
        lambda wire, _: wire.sendall(b"nothing of HTTP\r\n\r\n"),
        lambda _wire, _path: None,
        lambda wire, _: wire.sendall(b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 20_000 + b"\r\n"),
        lambda wire, _: wire.sendall(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n"),
    ],
    ids=["cut off", "cut off in a chunk", "no HTTP", "nothing", "many headers", "a long header"],
)
def test_half_an_answer_is_none(site: Site, tmp_path: Path, answer: Answer) -> None:
    site.answers["/half"] = answer
    with pytest.raises(ClickpipeError, match="cannot be fetched"):
        get(f"http://{PUBLIC}:{site.port}/half", tmp_path / "file")


@pytest.mark.parametrize(
    "to",
    [
        "http://[::1/",
        "http://[x]/",
        "http://a..b/",
        f"http://{'a' * 70}.test/",
        "http://x:99999/",
        "http://x:-1/",
        "http://a\u3002\u3002b/",
        "http://xn--a/",
        "http://a\tb/",
    ],
)
def test_odd_urls_are_the_caller_s_mistake(site: Site, tmp_path: Path, to: str) -> None:
    """By themselves, and as what a server redirects to."""
    with pytest.raises(ClickpipeError) as error:
        get(to, tmp_path / "file")
    assert error.value.status in {400, 403}
    site.answers["/moved"] = _moved(to)
    with pytest.raises(ClickpipeError) as error:
        get(f"http://{PUBLIC}:{site.port}/moved", tmp_path / "file")
    assert error.value.status in {400, 403}
