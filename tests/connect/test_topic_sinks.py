"""Rows become messages of a topic: each at least once, none before the query has succeeded."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from clickpipe.catalog import Job
from clickpipe.connect import TopicSink, producer
from clickpipe.connect.brokers import Brokers
from clickpipe.connect.reach import Reach
from clickpipe.diagnostics import ClickpipeError
from clickpipe.jobs import CopySchedule, Report
from clickpipe.runtime import Instance, Workspace
from tests.connect.conftest import Broker, until

SOURCE = "SCHEMA >\n    id UInt64 `json:$.id`,\n    name String `json:$.name`\n\nENGINE_SORTING_KEY id\n"
SELECT = "SELECT id, name, [id] AS list FROM events ORDER BY id"


def files(broker: Broker | None, sql: str = SELECT, connection: str = "", **options: str) -> dict[str, str]:
    wanted = {
        "EXPORT_CONNECTION_NAME": "kafka",
        "EXPORT_KAFKA_TOPIC": broker.topic if broker else "t",
        "EXPORT_SCHEDULE": "@on-demand",
        **options,
    }
    lines = "".join(f"{name} {value}\n" for name, value in wanted.items())
    plain = "KAFKA_SECURITY_PROTOCOL PLAINTEXT\n"
    return {
        "events.datasource": SOURCE,
        "kafka.connection": connection or f"TYPE kafka\nKAFKA_BOOTSTRAP_SERVERS {broker and broker.servers}\n{plain}",
        "out.pipe": f"NODE n\nSQL >\n    %\n    {sql}\n\nTYPE sink\n{lines}",
    }


def deployed(workspace: Workspace, files: dict[str, str], rows: int = 3) -> None:
    assert workspace.deploy(files).feedback == ()
    workspace.ingest("events", [{"id": n, "name": f"é\n{n}"} for n in range(rows)])


def run(workspace: Workspace, mode: str | None = None, **values: Any) -> Job:
    job = workspace.sinks.start("out", values, mode)
    return ended(workspace, job)


def ended(workspace: Workspace, job: Job) -> Job:
    workspace._services.jobs.wait(job.id)
    found = workspace._services.catalog.jobs.get(workspace.id, job.id)
    assert found is not None
    return found


def sent(broker: Broker, most: int, seconds: float = 20) -> list[dict[str, Any]]:
    """The messages of a topic; waits for `most`, and a moment for more."""
    consumer = Consumer({"bootstrap.servers": broker.servers, "group.id": "looks"})
    partitions = consumer.list_topics(broker.topic, timeout=60).topics[broker.topic].partitions
    consumer.assign([TopicPartition(broker.topic, part, 0) for part in partitions])
    found: list[bytes] = []
    try:
        end = time.monotonic() + seconds
        while len(found) < most and time.monotonic() < end:
            found += _values(consumer)
        found += _values(consumer)
    finally:
        consumer.close()
    return sorted((json.loads(value) for value in found), key=lambda row: row["id"])


def _values(consumer: Consumer) -> list[bytes]:
    return [bytes(one.value() or b"") for one in consumer.consume(10_000, 0.5) if one.error() is None]


def test_each_row_is_a_message(workspace: Workspace, mock: Broker) -> None:
    deployed(workspace, files(mock))
    job = run(workspace)
    assert (job.status, job.error) == ("done", "")
    values = [{"id": n, "name": f"é\n{n}", "list": [n]} for n in range(3)]
    size = sum(len(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()) for row in values)
    assert job.result == {"rows": 3, "bytes": size, "topic": mock.topic}
    assert sent(mock, 3) == values
    assert run(workspace, "append").result["rows"] == 3
    assert len(sent(mock, 6)) == 6


def test_another_broker_takes_them_in_all_its_partitions(workspace: Workspace, broker: Broker) -> None:
    deployed(workspace, files(broker, "SELECT number AS id FROM numbers(3000)"), 0)
    assert run(workspace).result["rows"] == 3000
    assert [row["id"] for row in sent(broker, 3000)] == list(range(3000))


def test_a_topic_that_the_broker_creates_has_the_rows(workspace: Workspace, broker: Broker) -> None:
    deployed(workspace, files(broker, EXPORT_KAFKA_TOPIC=f"{broker.topic}-new"))
    assert run(workspace).status == "done"
    broker.topic += "-new"
    assert [row["id"] for row in sent(broker, 3)] == [0, 1, 2]


def test_a_query_without_rows_and_one_that_fails_send_nothing(workspace: Workspace, mock: Broker) -> None:
    deployed(
        workspace,
        files(mock, "SELECT id, throwIf(id = {{Int32(bad, 99)}}) AS x FROM events WHERE id < {{Int32(n, 9)}}"),
    )
    assert run(workspace, n=0).result["rows"] == 0
    job = run(workspace, bad=2)
    assert (job.status, "throwIf" in job.error) == ("error", True)
    assert run(workspace, n=1).status == "done"
    assert [row["id"] for row in sent(mock, 1)] == [0]


def test_more_rows_than_wait_for_a_broker(workspace: Workspace, mock: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(producer._SETTINGS, "queue.buffering.max.messages", 500)
    deployed(workspace, files(mock, "SELECT number AS id FROM numbers(7000)"), 0)
    assert run(workspace).result["rows"] == 7000
    assert [row["id"] for row in sent(mock, 7000)] == list(range(7000))


def test_a_row_that_is_too_large_is_named(workspace: Workspace, mock: Broker) -> None:
    deployed(workspace, files(mock, "SELECT id, repeat(repeat('x', id * 600), 1000) AS x FROM events ORDER BY id"))
    job = run(workspace)
    assert job.status == "error"
    assert "Message size too large (row 3, " in job.error


def test_what_was_sent_before_a_failure_is_told(mock: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(producer._SETTINGS, "message.timeout.ms", 1_000)
    sink = TopicSink("out", mock.topic, Brokers({"bootstrap.servers": mock.servers}))
    sending = producer.TopicProducer(sink, Reach(), Report())

    def values() -> Iterator[bytes]:
        yield from (b"{}" for _ in range(producer._POLL))
        sending._producer.flush(20)
        del mock.producer  # and its cluster
        yield b"{}"

    with pytest.raises(
        ClickpipeError, match=f"cannot be written to: .*{producer._POLL} rows were sent; the next run sends all"
    ):
        sending.send(values())


@pytest.mark.parametrize(
    ("servers", "settings", "said"),
    [
        ("127.0.0.1:1", {}, "The topic 't' cannot be written to: "),
        ("127.0.0.1:1", {"host": "192.0.2.1"}, "not public"),
        ("::::", {}, "KAFKA_BOOTSTRAP_SERVERS are host:port"),
        ("169.254.169.254:9092", {}, "no setting allows these"),
    ],
)
def test_brokers_that_cannot_be_used(
    instance: Instance, servers: str, settings: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producer, "_TIMEOUT", 1.0)
    workspace = instance.workspaces.create(f"other_{uuid.uuid4().hex[:8]}")
    monkeypatch.setattr(instance._services, "settings", replace(instance.settings, **settings))
    secret = "KAFKA_SECURITY_PROTOCOL SASL_PLAINTEXT\nKAFKA_SASL_MECHANISM PLAIN\nKAFKA_KEY u\nKAFKA_SECRET hunter2\n"
    connection = f"TYPE kafka\nKAFKA_BOOTSTRAP_SERVERS {servers}\n{secret}"
    project = files(None, connection=connection)
    workspace.deploy(project)
    job = run(workspace)
    assert (job.status, said in job.error, "hunter2" in job.error) == ("error", True, False), job.error


def test_replace_is_refused_and_a_missing_client_is_told(
    workspace: Workspace, mock: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed(workspace, files(mock))
    with pytest.raises(ClickpipeError, match="cannot be replaced"):
        run(workspace, "replace")
    monkeypatch.setattr("clickpipe.config.settings.find_spec", lambda _: None)
    assert "pip install 'clickpipe[kafka]'" in run(workspace).error


def test_a_schedule_runs_it_and_the_ops_log_tells(workspace: Workspace, instance: Instance, mock: Broker) -> None:
    deployed(workspace, files(mock, EXPORT_SCHEDULE='"* * * * *"'))
    (job,) = CopySchedule(instance.workspaces).run_due(datetime.now(UTC) + timedelta(minutes=2))
    assert ended(workspace, job).status == "done"
    workspace._services.service_log.flush()
    (told,) = workspace.sql("SELECT * FROM tinybird.sinks_ops_log")
    assert (told["service"], told["result"], told["error"], told["output"]) == ("kafka", "ok", None, [mock.topic])
    assert int(told["written_rows"]) == 3


def test_a_run_that_is_cancelled_ends(workspace: Workspace, mock: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(producer._SETTINGS, "linger.ms", 60_000)
    deployed(workspace, files(mock))
    job = workspace.sinks.start("out", {})
    until(lambda: workspace._services.catalog.jobs.get(workspace.id, job.id).status == "working")  # type: ignore[union-attr]
    workspace._services.jobs.cancel(job)
    assert ended(workspace, job).status == "cancelled"
