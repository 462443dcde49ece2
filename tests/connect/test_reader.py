"""Topics into data sources: what is sent is there once, whatever happens in between."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import Any

import pytest

from clickpipe.connect.reader import Reader
from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import Ingester, IngestResult
from clickpipe.runtime import Instance, Workspace
from tests.connect.conftest import OFFSETS, Broker, Start, files, until

pytestmark = pytest.mark.slow  # a group takes seconds to form


def rows(workspace: Workspace) -> dict[str, int]:
    found: dict[str, Any] = workspace.sql(OFFSETS)[0]
    return {name: int(value or 0) for name, value in found.items()}


def all_once(count: int) -> dict[str, int]:
    return {"rows": count, "places": count, "sums": count, "n": count}


def test_messages_become_rows_and_positions(workspace: Workspace, mock: Broker, start: Start) -> None:
    workspace.deploy(files(mock.servers, mock.topic, KAFKA_STORE_HEADERS="True", KAFKA_STORE_RAW_VALUE="True"))
    mock.raw(b'{"id":"x","n":4}', key=b"key", headers=[("h", b"v")], timestamp=1_760_000_000_000)
    mock.producer.flush(10)
    reader = start()
    until(lambda: rows(workspace)["rows"] == 1)
    assert workspace.sql("SELECT * FROM events") == [
        {
            "id": "x",
            "n": 4,
            "__topic": mock.topic,
            "__partition": 0,
            "__offset": 0,
            "__timestamp": "2025-10-09 08:53:20",
            "__key": "key",
            "__value": '{"id":"x","n":4}',
            "__headers": {"h": "v"},
        }
    ]
    for part in range(4):
        mock.send(range(500), part)
    until(lambda: rows(workspace) == {"rows": 2001, "places": 2001, "sums": 2004, "n": 2004})
    until(lambda: mock.committed() == {0: 501, 1: 500, 2: 500, 3: 500})
    until(lambda: reader.status.messages == 2001 and reader.status.lag == 0)
    assert (reader.status.state, reader.status.partitions, reader.status.problem) == ("reading", 4, "")


def test_what_does_not_fit_is_in_quarantine_with_its_place(workspace: Workspace, mock: Broker, start: Start) -> None:
    workspace.deploy(files(mock.servers, mock.topic))
    for value in (b"no json", b'{"id":"a","n":1}', b'{"id":"b","n":"many"}', None, b'{"id":"' + b"x" * 5000 + b'"}'):
        mock.raw(value)
    mock.producer.flush(10)
    start(message_bytes=4000)
    until(lambda: len(workspace.sql("SELECT id FROM events_quarantine")) == 4)
    kept = workspace.sql("SELECT * FROM events_quarantine ORDER BY toUInt32(__offset)")
    assert [(row["__topic"], row["__partition"], row["__offset"]) for row in kept] == [
        (mock.topic, "0", offset) for offset in "0234"
    ]
    assert [row["c__error"][0] for row in kept] == [
        "the message is not a JSON object",
        "value 'many' on column 'n' is not Int32",
        "value is missing or null on column 'id', which is String and has no DEFAULT",
        "the message is larger than 4000 bytes",
    ]
    assert rows(workspace) == all_once(1)
    until(lambda: mock.committed() == {0: 5} | dict.fromkeys((1, 2, 3), 0))


def test_a_reader_goes_on_where_the_rows_end_whatever_the_group_says(
    workspace: Workspace, broker: Broker, start: Start
) -> None:
    workspace.deploy(files(broker.servers, broker.topic))
    broker.send(range(100))
    reader = start()
    until(lambda: rows(workspace)["rows"] == 100)
    reader.close()
    broker.commit({0: 10})  # a person who wants them again: they would be there twice
    broker.send(range(50))
    start()
    until(lambda: rows(workspace) == all_once(150))


def test_what_others_of_the_group_have_committed_is_left_to_them(
    workspace: Workspace, broker: Broker, start: Start
) -> None:
    workspace.deploy(files(broker.servers, broker.topic))
    broker.send(range(100))
    broker.commit({0: 60})
    reader = start()  # the first start: where the engine before stopped
    until(lambda: rows(workspace)["rows"] == 40)
    reader.close()
    broker.send(range(100))
    broker.commit({0: 170})  # while this server stood still
    start()
    until(lambda: rows(workspace) == all_once(70))


def test_latest_begins_behind_what_was_there(workspace: Workspace, mock: Broker, start: Start) -> None:
    workspace.deploy(files(mock.servers, mock.topic, KAFKA_AUTO_OFFSET_RESET="latest"))
    mock.send(range(10))
    start()
    until(lambda: mock.committed().get(0) == 10)  # a start after this one begins there, too
    mock.send(range(5))
    until(lambda: rows(workspace) == all_once(5))


def test_an_offset_that_is_gone_is_told(instance: Instance, workspace: Workspace, mock: Broker, start: Start) -> None:
    workspace.deploy(files(mock.servers, mock.topic))
    mock.send(range(10))
    cluster = mock.producer.list_topics(timeout=60).cluster_id
    source = f"kafka {cluster}/{mock.topic}/of_{mock.topic}"
    instance.catalog.positions.advance(workspace.id, "events", {source: {"0": 5000}})
    reader = start()
    until(lambda: "no longer has offset 5000" in reader.status.problem)
    assert rows(workspace)["rows"] == 0


def test_a_topic_that_is_not_there_is_told_and_looked_for_again(
    workspace: Workspace, mock: Broker, start: Start
) -> None:
    workspace.deploy(files(mock.servers, mock.topic))
    reader = start()
    until(lambda: "cannot be read" in reader.status.problem)
    mock.send(range(3))
    until(lambda: rows(workspace)["rows"] == 3)


def test_no_broker_is_told_without_secrets(workspace: Workspace, start: Start, caplog: Any) -> None:
    made = files("127.0.0.1:1", "t")
    made["broker.connection"] = (
        "TYPE kafka\nKAFKA_BOOTSTRAP_SERVERS {{ tb_secret('SERVERS', '127.0.0.1:1') }}\nKAFKA_KEY who\n"
        "KAFKA_SECRET {{ tb_secret('PASSWORD', 'correct horse battery') }}\nKAFKA_SECURITY_PROTOCOL SASL_PLAINTEXT\n"
    )
    workspace.deploy(made)
    reader = start()
    until(lambda: reader.status.problem)
    time.sleep(1)
    assert "correct horse battery" not in caplog.text + reader.status.problem + repr(reader.topic)
    assert "127.0.0.1:1" not in reader.status.problem
    assert "events" in caplog.text


class Refusing(Ingester):
    """Does not take what is sent for a while, in one way or another."""

    def __init__(self, real: Ingester, error: ClickpipeError, *, later: bool) -> None:
        self.real, self.error, self.later, self.refusals = real, error, later, 4
        self.positions = real.positions  # type: ignore[method-assign]

    def submit(self, *args: Any, **more: Any) -> Future[IngestResult]:
        if self.refusals > 0:
            self.refusals -= 1
            if not self.later:
                raise self.error
            failed: Future[IngestResult] = Future()
            failed.set_exception(self.error)
            return failed
        return self.real.submit(*args, **more)


@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
def test_what_is_not_taken_is_sent_again(
    workspace: Workspace, mock: Broker, start: Start, instance: Instance, *, later: bool
) -> None:
    workspace.deploy(files(mock.servers, mock.topic))
    mock.send(range(1000))
    refusing = Refusing(instance.ingester, ClickpipeError("full", status=503, code="overloaded"), later=later)
    reader: Reader = start(refusing, messages=300)
    until(lambda: rows(workspace) == all_once(1000))
    assert reader.status.pauses == (0 if later else 1)
    assert mock.committed().get(0, 0) <= 1000


def test_one_that_the_engine_cannot_read_stops_nobody(
    workspace: Workspace, mock: Broker, start: Start, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.deploy(files(mock.servers, mock.topic))
    mock.send(range(100))
    real = instance.ingester.submit

    def submit(name: str, source: str, lines: Any, **more: Any) -> Future[IngestResult]:
        if b'"id": "42"' in lines.data and b"__error" not in lines.data:
            failed: Future[IngestResult] = Future()
            failed.set_exception(ClickpipeError("too deep", status=422, code="unreadable"))
            return failed
        return real(name, source, lines, **more)

    monkeypatch.setattr(instance.ingester, "submit", submit)
    start()
    until(lambda: rows(workspace)["rows"] == 99)
    kept = until(lambda: workspace.sql("SELECT __offset, c__error FROM events_quarantine"))
    assert kept == [{"__offset": "42", "c__error": ["the message cannot be read"]}]


def test_a_deployment_holds_the_reader_and_it_stays_a_member(workspace: Workspace, mock: Broker, start: Start) -> None:
    workspace.deploy(files(mock.servers, mock.topic))
    mock.send(range(10))
    reader = start()
    until(lambda: rows(workspace)["rows"] == 10)
    with workspace.lock.paused():
        for _ in range(2):  # the second waits for the first
            mock.send(range(10))
            time.sleep(0.5)
        until(lambda: reader.status.state == "paused")
    until(lambda: rows(workspace) == all_once(30))
    until(lambda: reader.status.state == "reading")


def test_two_servers_share_the_partitions(
    instance: Instance, workspace: Workspace, broker: Broker, start: Start
) -> None:
    """Two workspaces stand for two servers: each has positions of its own."""
    made = files(broker.servers, broker.topic)
    workspace.deploy(made)
    other = instance.workspaces.create(f"{workspace.name}_other")
    try:
        other.deploy(made)
        for part in range(4):
            broker.send(range(300), part)
        start()
        until(lambda: rows(workspace)["rows"] == 1200)
        second = Reader(_topic_of(other), instance.ingester)
        try:
            until(lambda: second.status.partitions == 2)
            for part in range(4):
                broker.send(range(300), part)
            until(lambda: rows(workspace)["rows"] + rows(other)["rows"] >= 2400)
        finally:
            second.close()
        until(lambda: sum(broker.committed().values()) == 2400)
        for part in range(4):
            broker.send(range(10), part)
        until(lambda: rows(workspace)["rows"] + rows(other)["rows"] >= 2440)
        for one in (workspace, other):
            assert rows(one) == all_once(rows(one)["rows"])
        assert rows(workspace)["rows"] + rows(other)["rows"] == 2440
    finally:
        instance.workspaces.delete(other)


def _topic_of(workspace: Workspace) -> Any:
    from clickpipe.connect import topics_of

    assert workspace.live is not None
    return next(iter(topics_of(workspace.id, workspace.live, workspace.secret)))


def test_it_is_told_in_the_ops_log(instance: Instance, workspace: Workspace, mock: Broker, start: Start) -> None:
    workspace.deploy(files(mock.servers, mock.topic))
    start()
    until(lambda: _told(instance, workspace, "error"))
    mock.send(range(3))
    until(lambda: _told(instance, workspace, "info"))
    found = _told(instance, workspace, "info")
    assert [(row["topic"], row["partition"], row["processed_messages"]) for row in found] == [(mock.topic, 0, 3)]


def _told(instance: Instance, workspace: Workspace, kind: str) -> list[dict[str, Any]]:
    instance.service_log.flush()
    return workspace.sql(f"SELECT * FROM tinybird.kafka_ops_log WHERE msg_type = '{kind}'")
