"""What files say of a topic, as librdkafka's settings; and what they say that is not built."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import Consumer

from clickpipe.config import ProjectRules
from clickpipe.connect import Topic, topics_of
from clickpipe.runtime import Workspace
from tests.connect.certificates import authority
from tests.connect.conftest import EVENTS

SECRETS = {"KEY": "who", "PASSWORD": "correct horse battery", "CA": "", "SERVERS": "broker:9092"}
NAMED = "KAFKA_CONNECTION_NAME k\nKAFKA_TOPIC clicks\nKAFKA_GROUP_ID readers\n"
SASL = (
    "TYPE kafka\nKAFKA_BOOTSTRAP_SERVERS {{ tb_secret('SERVERS') }}\nKAFKA_KEY {{ tb_secret('KEY') }}\n"
    "KAFKA_SECRET {{ tb_secret('PASSWORD') }}\n"
)
PEM = authority().pem


def found(workspace: Workspace, source: str, connection: str = "", **secrets: str) -> list[Any]:
    files = {"events.datasource": EVENTS + source}
    workspace.deploy(files | ({"k.connection": connection} if connection else {}))
    assert workspace.live is not None
    return list(topics_of(workspace.id, workspace.live, {**SECRETS, **secrets}.get))


def settings(workspace: Workspace, source: str, connection: str = "", **secrets: str) -> dict[str, Any]:
    (topic,) = found(workspace, source, connection, **secrets)
    assert isinstance(topic, Topic)
    assert "correct horse battery" not in repr(topic)
    Consumer(dict(topic.settings)).close()
    names = ("bootstrap.servers", "group.id", "security.protocol", "sasl.mechanisms", "sasl.username", "sasl.password")
    return {name: value for name, value in topic.settings.items() if name in {*names, "ssl.ca.pem"}}


def test_tls_and_passwords_are_what_is_meant_without_more(workspace: Workspace) -> None:
    assert settings(workspace, NAMED, SASL) == {
        "bootstrap.servers": "broker:9092",
        "group.id": "readers",
        "security.protocol": "SASL_SSL",
        "sasl.mechanisms": "PLAIN",
        "sasl.username": "who",
        "sasl.password": "correct horse battery",
    }


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("protocol", ["SASL_SSL", "SASL_PLAINTEXT"])
def test_mechanisms(workspace: Workspace, mechanism: str, protocol: str) -> None:
    more = f"KAFKA_SASL_MECHANISM {mechanism}\nKAFKA_SECURITY_PROTOCOL {protocol}\n"
    made = settings(workspace, NAMED, SASL + more)
    assert (made["sasl.mechanisms"], made["security.protocol"]) == (mechanism, protocol)


@pytest.mark.parametrize("pem", [PEM, PEM.replace("\n", "\\n"), PEM.replace("\n", "\n    ")])
def test_the_certificate_of_an_authority_comes_from_a_secret(workspace: Workspace, pem: str) -> None:
    made = settings(workspace, NAMED, SASL + "KAFKA_SSL_CA_PEM {{ tb_secret('CA') }}\n", CA=pem)
    assert made["ssl.ca.pem"] == PEM


def test_an_old_file_has_it_all(workspace: Workspace) -> None:
    own = "KAFKA_BOOTSTRAP_SERVERS a:1,b:2\nKAFKA_SECURITY_PROTOCOL plaintext\nKAFKA_TOPIC t\nKAFKA_GROUP_ID g\n"
    wanted = {"bootstrap.servers": "a:1,b:2", "group.id": "g", "security.protocol": "PLAINTEXT"}
    assert settings(workspace, own) == wanted


@pytest.mark.parametrize(
    ("connection", "message"),
    [
        (SASL.replace("'KEY'", "'NOBODY'"), "The secret 'NOBODY' is not set"),
        ("TYPE kafka\nKAFKA_BOOTSTRAP_SERVERS a:1\n", "no KAFKA_KEY and KAFKA_SECRET"),
    ],
)
def test_what_is_missing_is_told(workspace: Workspace, connection: str, message: str) -> None:
    ((name, error),) = found(workspace, NAMED, connection)
    assert (name, message in error.message) == ("events", True)


def test_the_old_line_for_keys_in_avro_is_told_and_not_read(workspace: Workspace) -> None:
    more = "KAFKA_KEY_AVRO_DESERIALIZATION True\n"
    plan = workspace.deploy({"events.datasource": EVENTS + NAMED + more, "k.connection": SASL})
    assert [f.message for f in plan.feedback if "write KAFKA_KEY_FORMAT avro" in f.message] != []
    assert found(workspace, NAMED + more, SASL) == []


def test_formats_that_are_built_are_told_nothing(workspace: Workspace) -> None:
    more = "KAFKA_VALUE_FORMAT json_without_schema\nKAFKA_KEY_FORMAT string\n"
    plan = workspace.deploy({"events.datasource": EVENTS + NAMED + more, "k.connection": SASL})
    assert [f.message for f in plan.feedback if "read its topic" in f.message or "no effect" in f.message] == []


def test_a_server_that_reads_no_topics_says_so(compile_files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from clickpipe.compiler.unserved import unserved_lines
    from clickpipe.config import Settings

    monkeypatch.setattr("clickpipe.config.settings.find_spec", lambda _: None)
    compiled = compile_files({"events.datasource": EVENTS + NAMED, "k.connection": SASL})
    rules = Settings().rules(on_server=True)
    assert isinstance(rules, ProjectRules)
    (told,) = unserved_lines(compiled.project, rules)
    assert "pip install 'clickpipe[kafka]'" in told.message
    assert compiled.project.sources.texts[told.span.file][told.span.start : told.span.end] == "clicks"
    assert list(unserved_lines(compiled.project, Settings(kafka="off").rules())) == []  # a project alone
    (off,) = unserved_lines(compiled.project, Settings(kafka="off").rules(on_server=True))
    assert "kafka is off" in off.message
