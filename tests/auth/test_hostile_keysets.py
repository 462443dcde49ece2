"""A provider of keys that answers what it should not: it neither stops the server nor the looks for other keys."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from clickpipe.auth import keysets
from clickpipe.auth.keysets import KeySet
from tests.auth.test_keysets import BOTH, RSA, public

Answer = Callable[[socket.socket], None]
OK = b"HTTP/1.1 200 OK\r\n"


class Provider:
    """Answers each connection as it is told now."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/keys"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                self.asked += 1
                threading.Thread(target=self._one, args=(client,), daemon=True).start()

    def _one(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.recv(65536)
            self.answer(client)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # ends the wait for the next
        self._thread.join()
        self._socket.close()


def of(body: bytes) -> Answer:
    return lambda client: client.sendall(OK + b"\r\n" + body)


def without_end(start: bytes, part: bytes, seconds: float) -> Answer:
    def answer(client: socket.socket) -> None:
        client.sendall(start)
        for _ in range(60):
            client.sendall(part)
            time.sleep(seconds)

    return answer


def moved(client: socket.socket) -> None:
    port = client.getsockname()[1]
    client.sendall(f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{port}/other\r\n\r\n".encode())


HOSTILE = {
    "nested deeply": of(b"[" * 200_000),
    "keys that are nested deeply": of(b'{"keys":' + b"[" * 200_000),
    "a name that is a list": of(json.dumps({"keys": [public(RSA, "r") | {"kid": ["r"]}]}).encode()),
    "a name that is an object": of(json.dumps({"keys": [public(RSA, "r") | {"kid": {}}]}).encode()),
    "numbers": of(json.dumps({"keys": [{"kty": "RSA", "n": 1, "e": []}, 5, None]}).encode()),
    "a number of many digits": of(b"9" * 100_000),
    "half of it": lambda client: client.sendall(OK + b"Content-Length: 100000\r\n\r\n" + json.dumps(BOTH).encode()),
    "another text": of(b"\xff\xfe\xff"),
    "no HTTP": lambda client: client.sendall(b"\0" * 1000),
    "nothing": lambda _: None,
    "a body without end": without_end(OK + b"\r\n", b" " * 1_000_000, 0),
    "a slow body": without_end(OK + b"\r\n", b" ", 0.4),
    "a slow header": without_end(OK, b"X", 0.4),
    "another place": moved,
}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keysets, "_TIMEOUT", 0.5)


@pytest.fixture(params=list(HOSTILE.values()), ids=list(HOSTILE))
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    made = Provider(request.param)
    yield made
    made.close()
    for thread in threading.enumerate():
        if thread.name == "jwt-keys-fetch":
            thread.join(10)


def test_it_stops_neither_the_start_nor_the_end(provider: Provider) -> None:
    started = time.monotonic()
    keys = KeySet(provider.url, lambda: None)
    assert keys.find(None) is None
    keys.close()
    assert time.monotonic() - started < 15


def test_keys_stay_until_there_are_others(provider: Provider, request: pytest.FixtureRequest) -> None:
    """A set that can be read, with keys that have no names, is one: of no keys that are good."""
    odd = "a name that" in request.node.name
    hostile, provider.answer = provider.answer, of(json.dumps(BOTH).encode())
    keys = KeySet(provider.url, lambda: None, every=0.01)
    try:
        assert keys.find("r")
        before = provider.asked
        provider.answer = hostile
        while provider.asked == before:
            time.sleep(0.01)
        time.sleep(0.2)
        assert (keys.find("r") is None) == odd
        provider.answer = of(json.dumps({"keys": [public(RSA, "other")]}).encode())
        until = time.monotonic() + 25
        while not keys.find("other") and time.monotonic() < until:
            time.sleep(0.01)
        assert keys.find("r") is None
        assert keys.find("other")
    finally:
        keys.close()
