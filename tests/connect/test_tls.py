"""Certificates of clients: what is sent to brokers, and what is wrong with them is told, without showing them."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clickpipe.connect import Topic
from clickpipe.project import Tls
from clickpipe.runtime import Workspace
from tests.connect.certificates import authority
from tests.connect.conftest import EVENTS, Broker, Start, files, until
from tests.connect.test_topic import NAMED, found

MUTUAL = (
    "TYPE kafka\nKAFKA_BOOTSTRAP_SERVERS broker:9092\nKAFKA_SECURITY_PROTOCOL SSL\n"
    "KAFKA_SSL_CA_PEM {{ tb_secret('CA') }}\nKAFKA_SSL_CERTIFICATE_PEM {{ tb_secret('CERTIFICATE') }}\n"
    "KAFKA_SSL_KEY_PEM {{ tb_secret('PEM') }}\n"
)
LOCKED = f"{MUTUAL}KAFKA_SSL_KEY_PASSWORD {{{{ tb_secret('OPENS') }}}}\n"


def secrets(password: str = "") -> dict[str, str]:
    certificate, key = authority().issue("client", password)
    return {"CA": authority().pem, "CERTIFICATE": certificate, "PEM": key, "OPENS": password}


def topic_of(workspace: Workspace, connection: str, **values: str) -> Topic:
    (topic,) = found(workspace, NAMED, connection, **values)
    assert isinstance(topic, Topic), topic
    return topic


@pytest.mark.parametrize("on_one_line", [False, True])
def test_certificate_and_key_come_from_secrets(workspace: Workspace, *, on_one_line: bool) -> None:
    from confluent_kafka import Consumer

    values = secrets()
    sent = {name: text.replace("\n", "\\n") for name, text in values.items()} if on_one_line else values
    topic = topic_of(workspace, MUTUAL, **sent)
    named = {"ssl.ca.pem": "CA", "ssl.certificate.pem": "CERTIFICATE", "ssl.key.pem": "PEM"}
    assert {name: topic.settings[name] for name in named} == {name: values[which] for name, which in named.items()}
    assert "PRIVATE" not in repr(topic)
    assert topic.tls.problem() is None
    Consumer(dict(topic.settings)).close()


def test_a_key_with_a_password(workspace: Workspace) -> None:
    from confluent_kafka import Consumer

    topic = topic_of(workspace, LOCKED, **secrets("correct horse battery"))
    assert topic.tls.problem() is None
    assert "correct horse battery" not in repr(topic)
    Consumer(dict(topic.settings)).close()


def test_plaintext_has_no_use_for_them(workspace: Workspace) -> None:
    topic = topic_of(workspace, MUTUAL.replace("PROTOCOL SSL", "PROTOCOL PLAINTEXT"), **secrets())
    assert [name for name in topic.settings if name.startswith("ssl.")] == []
    assert topic.tls == Tls()


KEY_TEXT = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ca": "none"}, "KAFKA_SSL_CA_PEM is not a certificate in PEM"),
        ({"certificate": KEY_TEXT}, "KAFKA_SSL_CERTIFICATE_PEM is not a certificate in PEM"),
        ({"key": KEY_TEXT}, "KAFKA_SSL_KEY_PEM is not a private key in PEM"),
        ({"key": authority().issue("x")[1]}, "KAFKA_SSL_KEY_PEM is not the key of KAFKA_SSL_CERTIFICATE_PEM's first"),
        ({"key": authority().issue("x", "opens")[1]}, "KAFKA_SSL_KEY_PEM is encrypted: add KAFKA_SSL_KEY_PASSWORD"),
        (
            {"key": authority().issue("x", "opens")[1], "password": "other"},
            "KAFKA_SSL_KEY_PEM is not a private key in PEM, or KAFKA_SSL_KEY_PASSWORD is wrong",
        ),
    ],
)
def test_what_cannot_be_used_is_told(wrong: dict[str, str], message: str) -> None:
    certificate, key = authority().issue("client")
    problem = Tls(**{"ca": authority().pem, "certificate": certificate, "key": key, **wrong}).problem()
    assert problem is not None
    assert message in problem[1]
    assert "c2VjcmV0" not in problem[1]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            "KAFKA_SSL_CERTIFICATE_PEM {{ tb_secret('C', '') }}\n",
            "there is KAFKA_SSL_CERTIFICATE_PEM and no KAFKA_SSL_KE",
        ),
        ("KAFKA_SSL_KEY_PEM {{ tb_secret('K', '') }}\n", "there is KAFKA_SSL_KEY_PEM and no KAFKA_SSL_CERTIFICATE_PEM"),
        ("KAFKA_SSL_CA_PEM >\n    -----BEGIN CERTIFICATE-----\n    MIIB\n", "KAFKA_SSL_CA_PEM is not a certificate"),
    ],
)
def test_what_files_say_is_checked_at_deploy(workspace: Workspace, lines: str, told: str) -> None:
    connection = f"TYPE kafka\nKAFKA_BOOTSTRAP_SERVERS broker:9092\nKAFKA_SECURITY_PROTOCOL SSL\n{lines}"
    plan = workspace.deploy({"events.datasource": EVENTS + NAMED, "k.connection": connection})
    assert [f.message for f in plan.feedback if told in f.message] != []


@contextlib.contextmanager
def in_tls(port: int, into: Path) -> Iterator[tuple[int, list[Any]]]:
    """A port that speaks TLS with clients that have a certificate, for a broker at `port`; and who came."""
    came: list[Any] = []
    certificate, key = authority().issue("127.0.0.1")
    (into / "server.pem").write_text(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(into / "server.pem")
    context.load_verify_locations(cadata=authority().pem)
    context.verify_mode = ssl.CERT_REQUIRED
    listening = socket.create_server(("127.0.0.1", 0))

    def copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def serve(raw: socket.socket) -> None:
        with contextlib.suppress(OSError), raw, context.wrap_socket(raw, server_side=True) as client:
            came.append(client.getpeercert())
            with socket.create_connection(("127.0.0.1", port)) as broker:
                back = threading.Thread(target=copy, args=(broker, client), daemon=True)
                back.start()
                copy(client, broker)
                back.join()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listening.getsockname()[1], came
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


@pytest.mark.slow
def test_a_broker_gets_the_certificate(workspace: Workspace, mock: Broker, start: Start, tmp_path: Path) -> None:
    port = int(mock.servers.rpartition(":")[2])
    with in_tls(port, tmp_path) as (secure, came):
        made = files(f"127.0.0.1:{secure}", mock.topic)
        made["broker.connection"] = MUTUAL.replace("broker:9092", f"127.0.0.1:{secure}")
        workspace.local_secrets = secrets()
        workspace.deploy(made)
        reader = start()
        until(lambda: came)
        assert (("commonName", "client"),) in came[0]["subject"]
        reader.close()


@pytest.mark.slow
def test_a_wrong_key_is_told_without_it(workspace: Workspace, start: Start, caplog: Any) -> None:
    made = files("127.0.0.1:1", "t")
    made["broker.connection"] = MUTUAL.replace("broker:9092", "127.0.0.1:1")
    workspace.local_secrets = {**secrets(), "PEM": KEY_TEXT}
    workspace.deploy(made)
    reader = start()
    until(lambda: "KAFKA_SSL_KEY_PEM is not a private key in PEM" in reader.status.problem)
    assert "c2VjcmV0" not in caplog.text + reader.status.problem
