"""Trying a connection to Kafka: brokers, topics, and what keeps them from being read."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from clickpipe.runtime import Instance, Workspace
from tests.connect.conftest import Broker
from tests.connect.test_topic_sinks import files
from tests.runtime.test_connection_checks import checked

READER = "SCHEMA >\n    id UInt64 `json:$.id`\n\nENGINE_SORTING_KEY id\nKAFKA_CONNECTION_NAME kafka\n"


def reader(topic: str) -> str:
    return f"{READER}KAFKA_TOPIC {topic}\nKAFKA_GROUP_ID checks\n"


def test_brokers_topics_and_sinks_are_tried(workspace: Workspace, mock: Broker) -> None:
    mock.producer.produce(mock.topic, b"{}")
    assert mock.producer.flush(60) == 0
    workspace.deploy({**files(mock), "read.datasource": reader(mock.topic)})
    job, found = checked(workspace, "kafka")
    assert (job.status, list(found)) == ("done", ["kafka", "read", "out"])
    assert found["kafka"].startswith("1 broker, ")
    assert found["read"] == found["out"] == f"the topic '{mock.topic}', 4 partitions"


def test_a_topic_that_is_not_there(workspace: Workspace, tansu: str) -> None:
    broker = Broker(tansu)
    workspace.deploy({**files(broker), "read.datasource": reader("nosuchtopic")})
    job, found = checked(workspace, "kafka")
    assert (job.status, job.error) == ("error", f"read: {found['read']}")
    assert found["read"] == "there is no topic 'nosuchtopic', or the key may not see it"
    assert "nosuchtopic" not in broker.producer.list_topics(timeout=60).topics
    assert "4 partitions" in found["out"]


def test_brokers_that_do_not_answer(workspace: Workspace) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    connection = f"TYPE kafka\nKAFKA_BOOTSTRAP_SERVERS 127.0.0.1:{port}\nKAFKA_SECURITY_PROTOCOL PLAINTEXT\n"
    workspace.deploy({"kafka.connection": connection})
    job, found = checked(workspace, "kafka")
    assert (job.status, "refused" in found["kafka"]) == ("error", True)


def test_brokers_out_of_reach_are_not_connected_to(
    workspace: Workspace, mock: Broker, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instance._services, "settings", replace(instance.settings, host="0.0.0.0"))  # noqa: S104
    workspace.deploy(files(mock))
    job, found = checked(workspace, "kafka")
    assert (job.status, all("is not listed" in problem or "not public" in problem for problem in found.values())) == (
        "error",
        True,
    )
