"""What is live is read: readers follow deployments."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest

from clickpipe.catalog import Registry
from clickpipe.config import Settings
from clickpipe.connect import Consumers
from clickpipe.deploy import Rows
from clickpipe.observe import KafkaLog
from clickpipe.runtime import Instance, Workspace
from tests.conftest import RunPython
from tests.connect.conftest import EVENTS, Broker, files, until


@pytest.fixture
def consumers(instance: Instance, workspace: Workspace) -> Iterator[Consumers]:
    registry = Registry()  # with this workspace only
    registry._by_id[workspace.id] = instance.registry._by_id[workspace.id]
    log = KafkaLog(instance.service_log, instance.registry)
    made = Consumers(instance.ingester, registry, instance.secrets, log, instance.catalog.stopped, seconds=0.1)
    made.start()
    yield made
    made.close()


def count(workspace: Workspace) -> int:
    return int(workspace.sql("SELECT count() AS n FROM events")[0]["n"])


@pytest.mark.slow
def test_a_promotion_leaves_readers_alone_and_a_changed_group_does_not(
    instance: Instance, workspace: Workspace, mock: Broker, consumers: Consumers
) -> None:
    made = files(mock.servers, mock.topic)
    workspace.deploy(made)
    mock.send(range(10))
    until(lambda: count(workspace) == 10)
    reader = consumers._readers[workspace.id, "events"]
    changed = {**made, "events.datasource": made["events.datasource"].replace("n Int32", "n Int64")}
    workspace.deploy(changed)
    mock.send(range(10))
    until(lambda: count(workspace) == 20)
    assert consumers._readers[workspace.id, "events"] is reader
    workspace.deploy({**changed, "events.datasource": changed["events.datasource"].replace("of_", "others_of_")})
    until(lambda: count(workspace) == 40)  # another group begins anew
    assert [status.topic for status in consumers.statuses()] == [mock.topic]
    assert b"clickpipe_kafka_lag 0.0" in instance.metrics.text()  # of the instance's own, which is in memory
    assert consumers.total("messages") == 20


@pytest.mark.slow
def test_of_two_that_share_a_group_one_reads(workspace: Workspace, mock: Broker, consumers: Consumers) -> None:
    made = files(mock.servers, mock.topic)
    plan = workspace.deploy({**made, "more.datasource": made["events.datasource"]})
    told = [(f.resource, f.message) for f in plan.feedback if "same group" in f.message]
    assert told == [
        (
            "Datasource more.datasource",
            "It reads no topic: 'events' reads it as the same group. Name another KAFKA_GROUP_ID.",
        )
    ]
    until(consumers.statuses)
    assert [status.data_source for status in consumers.statuses()] == ["events"]


def test_previews_stand_still(instance: Instance, workspace: Workspace) -> None:
    workspace.deploy({"events.datasource": EVENTS})
    preview = instance.workspaces.preview(workspace, f"p_{uuid.uuid4().hex}", Rows.ALL)
    try:
        read = instance.registry.all_live(previews=False)
        assert workspace.id in read
        assert preview.id not in read
    finally:
        instance.workspaces.delete(preview)


def test_nothing_needs_the_extra_but_reading(run_python: RunPython) -> None:
    code = """
        import json, sys
        sys.modules["confluent_kafka"] = None
        from clickpipe.runtime import Instance

        with Instance(None) as instance:
            plan = instance.default.deploy(json.loads(sys.argv[1]))
            print(json.dumps([f.message for f in plan.feedback]))
    """
    assert "does not read its topic" not in run_python(code, json.dumps({"events.datasource": EVENTS})).stdout


@pytest.mark.slow
def test_what_is_stopped_reads_nothing_and_goes_on_where_it_was(
    workspace: Workspace, mock: Broker, consumers: Consumers
) -> None:
    workspace.deploy(files(mock.servers, mock.topic))
    mock.send(range(10))
    until(lambda: count(workspace) == 10)
    workspace.data.stop_reading("events", stopped=True)
    until(lambda: not consumers.statuses())
    mock.send(range(10))
    workspace.data.stop_reading("events", stopped=False)
    until(lambda: count(workspace) == 20)


def test_whatever_goes_wrong_in_a_workspace_leaves_the_others_and_its_readers(
    instance: Instance, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = instance.workspaces.create(f"after_{workspace.id}")
    try:
        other.deploy(files("127.0.0.1:9", "clicks"))
        workspace.deploy(files("127.0.0.1:9", "clicks"))
        log = KafkaLog(instance.service_log, instance.registry)
        made = Consumers(instance.ingester, instance.registry, instance.secrets, log, instance.catalog.stopped)
        read = [key for key in made._wanted() if key[0] in {workspace.id, other.id}]
        assert sorted(read) == sorted([(workspace.id, "events"), (other.id, "events")])
        names = instance.catalog.stopped.names
        monkeypatch.setattr(instance.catalog.stopped, "names", lambda id_: 1 / 0 if id_ == workspace.id else names(id_))
        assert [key for key in made._wanted() if key[0] in {workspace.id, other.id}] == [(other.id, "events")]
    finally:
        instance.workspaces.delete(other)


def test_a_workspace_has_so_many_readers(instance: Instance, workspace: Workspace) -> None:
    of_one = files("127.0.0.1:9", "clicks")
    named = {f"{name}.datasource": of_one["events.datasource"].replace("of_", f"{name}_of_") for name in "abc"}
    workspace.deploy({**of_one, **named})
    log = KafkaLog(instance.service_log, instance.registry)
    most = Settings(kafka_most_readers=2)
    made = Consumers(
        instance.ingester, instance.registry, instance.secrets, log, instance.catalog.stopped, settings=most
    )
    assert len([key for key in made._wanted() if key[0] == workspace.id]) == 2
    assert len(made.problems(workspace.id)) == 2
    assert all("kafka_most_readers" in problem for problem in made.problems(workspace.id).values())
    [first, _] = [name for id_, name in made._wanted() if id_ == workspace.id]
    workspace.data.stop_reading(first, stopped=True)
    assert len([key for key in made._wanted() if key[0] == workspace.id]) == 2
    assert len(made.problems(workspace.id)) == 1
