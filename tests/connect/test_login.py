"""Tokens for SASL OAUTHBEARER: asked of the address that a connection names, if it may be reached, and never shown."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

from clickpipe.connect import Topic
from clickpipe.connect.login import Login, Tokens
from clickpipe.connect.reach import Reach
from clickpipe.diagnostics import ClickpipeError
from clickpipe.runtime import Workspace
from tests.connect.conftest import EVENTS, Broker, Start, files, until
from tests.connect.test_topic import NAMED, SASL, found

_AT = "KAFKA_SASL_OAUTHBEARER"
SECRET = "correct horse battery"
TOKEN = "a-token-that-nobody-may-see"


class Giver:
    """An endpoint that answers requests for tokens, each with the next answer."""

    def __init__(self, *answers: tuple[int, Any]) -> None:
        self.answers, self.asked = list(answers), list[tuple[Any, str]]()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                outer.asked.append((self.headers, body))
                status, answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/token"


@contextlib.contextmanager
def giver(*answers: tuple[int, Any]) -> Iterator[Giver]:
    made = Giver(*answers)
    thread = threading.Thread(target=made.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        thread.join()
        made.server.server_close()


def good(seconds: int = 3600) -> tuple[int, Any]:
    return 200, {"access_token": TOKEN, "token_type": "Bearer", "expires_in": seconds}


def test_a_token_is_asked_for_as_oauth_says_and_kept() -> None:
    with giver(good()) as made:
        tokens = Tokens(Login(made.url, "my client", SECRET, "kafka", (("logicalCluster", "lkc-1"),)), Reach().check)
        first = tokens.get()
        assert tokens.get("") == first
        assert (first[0], first[2], first[3]) == (TOKEN, "my client", {"logicalCluster": "lkc-1"})
        ((headers, body),) = made.asked
        who = base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode()
        assert who == "my+client:correct+horse+battery"
        assert parse_qs(body) == {"grant_type": ["client_credentials"], "scope": ["kafka"]}


def test_a_token_that_ends_soon_is_not_given_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with giver(good(100)) as made:
        tokens = Tokens(Login(made.url, "c", SECRET), Reach().check)
        until_then = tokens.get()[1]
        monkeypatch.setattr("clickpipe.connect.login.time.time", lambda: until_then - 10)
        tokens.get()
        assert len(made.asked) == 2


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((401, {"error": "invalid_client", "error_description": SECRET}), "status 401: invalid_client."),
        ((400, {"error": SECRET}), "status 400."),
        ((500, b"<html>"), "status 500."),
        ((302, b""), "status 302."),
        ((200, b"no json"), "does not answer with an access token"),
        ((200, {"token": "x"}), "does not answer with an access token"),
        ((200, b" " * (2 << 20)), "is larger than"),
    ],
)
def test_no_token_is_told_without_what_was_answered(answer: tuple[int, Any], told: str) -> None:
    with giver(answer) as made:
        tokens = Tokens(Login(made.url, "c", SECRET), Reach().check)
        with pytest.raises(ClickpipeError, match="token endpoint") as caught:
            tokens.get()
        assert told in caught.value.message
        assert SECRET not in caught.value.message + tokens.problem
        assert tokens.problem == caught.value.message
        made.answers = [good()]
        tokens.get()
        assert tokens.problem == ""


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://localhost:1/", "http://169.254.169.254/token"])
def test_an_endpoint_is_asked_only_where_the_workspace_may_reach(url: str) -> None:
    with pytest.raises(ClickpipeError, match=r"not public|no setting allows"):
        Tokens(Login(url, "c", SECRET), Reach(private=False).check).get()


def test_nobody_asks_where_clouds_keep_credentials() -> None:
    with pytest.raises(ClickpipeError, match="no setting allows"):
        Tokens(Login("http://169.254.169.254/token", "c", SECRET), Reach().check).get()


def test_a_listed_host_is_asked() -> None:
    with giver(good()) as made:
        Tokens(Login(made.url, "c", SECRET), Reach(private=False, hosts=frozenset({"127.0.0.1"})).check).get()


BEARER = f"{SASL}KAFKA_SASL_MECHANISM OAUTHBEARER\n{_AT}_TOKEN_ENDPOINT_URL https://login.example.com/token\n"


def test_what_files_say(workspace: Workspace) -> None:
    more = f"{_AT}_METHOD OIDC\n{_AT}_SCOPE a b\n{_AT}_EXTENSIONS logicalCluster=lkc-1, identityPoolId=pool=2\n"
    (topic,) = found(workspace, NAMED, BEARER + more)
    assert isinstance(topic, Topic)
    pairs = (("logicalCluster", "lkc-1"), ("identityPoolId", "pool=2"))
    assert topic.login == Login("https://login.example.com/token", "who", SECRET, "a b", pairs)
    assert topic.settings["sasl.mechanisms"] == "OAUTHBEARER"
    assert SECRET not in repr(topic)
    assert "sasl.password" not in topic.settings


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("", f"there is no {_AT}_TOKEN_ENDPOINT_URL"),
        (f"{_AT}_METHOD AWS\n{_AT}_AWS_REGION eu-west-1\n", "AWS is not built yet: use KAFKA_SASL_MECHANISM SCRAM-SHA"),
        (f"{_AT}_METHOD magic\n", f"{_AT}_METHOD takes OIDC"),
    ],
)
def test_what_is_not_built_is_told_and_not_read(workspace: Workspace, lines: str, told: str) -> None:
    connection = f"{SASL}KAFKA_SASL_MECHANISM OAUTHBEARER\n{lines}"
    plan = workspace.deploy({"events.datasource": EVENTS + NAMED, "k.connection": connection})
    assert [f.message for f in plan.feedback if told in f.message] != []
    assert found(workspace, NAMED, connection) == []


class Guard:
    """A port that has clients log in by SASL OAUTHBEARER."""

    def __init__(self) -> None:
        self.tokens: list[bytes] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._listening.accept()[0],), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, struct.error), client, client.makefile("rwb") as wire:
            while True:
                (size,) = struct.unpack(">i", wire.read(4))
                request = wire.read(size)
                key, version, number = struct.unpack(">hhi", request[:8])
                if key == 18:  # ApiVersions: 35 for a version that it does not know
                    served = ((17, 0, 1), (18, 0, 0), (36, 0, 0), (3, 0, 4))
                    answer = struct.pack(">hi", 35 if version else 0, len(served)) + b"".join(
                        struct.pack(">hhh", *one) for one in served
                    )
                elif key == 17:  # SaslHandshake
                    answer = struct.pack(">hih", 0, 1, 11) + b"OAUTHBEARER"
                elif key == 36:  # SaslAuthenticate
                    self.tokens.append(request)
                    answer = struct.pack(">hhi", 0, -1, 0)
                else:
                    return
                wire.write(struct.pack(">ii", 4 + len(answer), number) + answer)
                wire.flush()


@pytest.mark.slow
def test_a_broker_gets_the_token(workspace: Workspace, start: Start, caplog: Any) -> None:
    with giver(good()) as made:
        guard = Guard()
        try:
            sources = files(f"127.0.0.1:{guard.port}", "t")
            sources["broker.connection"] = (
                f"TYPE kafka\nKAFKA_BOOTSTRAP_SERVERS 127.0.0.1:{guard.port}\nKAFKA_KEY who\n"
                "KAFKA_SECRET {{ tb_secret('PASSWORD', 'correct horse battery') }}\n"
                "KAFKA_SECURITY_PROTOCOL SASL_PLAINTEXT\nKAFKA_SASL_MECHANISM OAUTHBEARER\n"
                f"{_AT}_TOKEN_ENDPOINT_URL {made.url}\n{_AT}_EXTENSIONS logicalCluster=lkc-1\n"
            )
            workspace.deploy(sources)
            reader = start()
            until(lambda: guard.tokens)
            assert f"auth=Bearer {TOKEN}".encode() in guard.tokens[0]
            assert b"logicalCluster=lkc-1" in guard.tokens[0]
            reader.stop()
            assert TOKEN not in caplog.text + reader.status.problem
        finally:
            guard.close()


@pytest.mark.slow
def test_no_token_is_told_by_the_reader(workspace: Workspace, mock: Broker, start: Start) -> None:
    with giver((401, {"error": "invalid_client"})) as made:
        sources = files(mock.servers, mock.topic)
        sources["broker.connection"] = (
            f"TYPE kafka\nKAFKA_BOOTSTRAP_SERVERS {mock.servers}\nKAFKA_KEY who\nKAFKA_SECRET no\n"
            "KAFKA_SECURITY_PROTOCOL SASL_PLAINTEXT\nKAFKA_SASL_MECHANISM OAUTHBEARER\n"
            f"{_AT}_TOKEN_ENDPOINT_URL {made.url}\n"
        )
        workspace.deploy(sources)
        reader = start()
        until(lambda: "The token endpoint answered with the status 401: invalid_client." in reader.status.problem)
