"""Brokers that do not let a reader go: they hold up neither the readers of others, nor the end of the server."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Mapping

import pytest

from clickpipe.connect import Consumers, consumers as module, reader as of_reader
from clickpipe.connect.topic import Topic
from clickpipe.observe import KafkaLog
from clickpipe.runtime import Instance, Workspace
from tests.connect.conftest import files, until

READER = of_reader.Reader


class Readers:
    """Readers that end when `let_go` is set, instead of those that ask a broker."""

    def __init__(self) -> None:
        self.started: list[Topic] = []
        self.let_go: Mapping[str, threading.Event] = {"slow": threading.Event(), "good": threading.Event()}
        self.let_go["good"].set()

    def start(self, topic: Topic, *_: object, **__: object) -> of_reader.Reader:
        made = object.__new__(READER)
        made.topic, made._stop = topic, threading.Event()

        def run() -> None:
            made._stop.wait()
            self.let_go.get(topic.name, self.let_go["good"]).wait()

        made._thread = threading.Thread(target=run, daemon=True)
        made._thread.start()
        self.started.append(topic)
        return made

    def groups(self, name: str) -> list[str]:
        return [topic.group for topic in self.started if topic.name == name]


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Readers]:
    found = Readers()
    monkeypatch.setattr(of_reader, "Reader", found.start)
    yield found
    found.let_go["slow"].set()


@pytest.fixture
def good(instance: Instance) -> Iterator[Workspace]:
    made = instance.workspaces.create(f"test_{uuid.uuid4().hex}")
    yield made
    instance.workspaces.delete(made)


def deploy(workspace: Workspace, topic: str, group: str) -> None:
    workspace.deploy(files("127.0.0.1:1", topic, KAFKA_GROUP_ID=group))


def consumers_of(instance: Instance) -> Consumers:
    log = KafkaLog(instance.service_log, instance.registry)
    return Consumers(
        instance.ingester, instance.registry, instance.secrets, log, instance.catalog.stopped, seconds=0.05
    )


def test_a_reader_that_does_not_end_holds_up_only_its_own(
    instance: Instance, workspace: Workspace, good: Workspace, readers: Readers
) -> None:
    consumers = consumers_of(instance)
    consumers.start()
    deploy(workspace, "slow", "first")
    until(lambda: readers.groups("slow") == ["first"], 60)
    deploy(workspace, "slow", "second")
    until(lambda: consumers._ending, 60)
    deploy(good, "good", "g")
    until(lambda: readers.groups("good") == ["g"], 60)
    assert readers.groups("slow") == ["first"]  # not two of one data source at once
    readers.let_go["slow"].set()
    until(lambda: readers.groups("slow") == ["first", "second"], 60)
    consumers.close()
    assert not consumers._ending or all(reader.is_over for reader in consumers._ending.values())


def test_a_reader_that_does_not_end_does_not_hold_the_server(
    instance: Instance,
    workspace: Workspace,
    readers: Readers,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.2)
    consumers = consumers_of(instance)
    consumers.start()
    deploy(workspace, "slow", "first")
    until(lambda: readers.groups("slow") == ["first"], 60)
    closing = threading.Thread(target=consumers.close)
    closing.start()
    closing.join(60)
    assert not closing.is_alive()
    assert "the brokers of events do not let go" in caplog.text
