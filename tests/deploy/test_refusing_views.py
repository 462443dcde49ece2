"""Views that raise: those of the deployment beside the live one stop no insert, those of the live one do."""

from __future__ import annotations

import pytest

from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import Lines
from clickpipe.runtime import Instance, Workspace
from tests.deploy.projects import DOUBLED, FILES, FUSSY, KEYED, MANY, NARROW, WIDER, send, stage, sums


@pytest.mark.parametrize("how", ["events", "files", "copy"])
def test_a_view_beside_does_not_stop_the_live_one(instance: Instance, deployed: Workspace, how: str) -> None:
    deployed.deploy({**FILES, "many.pipe": MANY})
    number = stage(deployed, {**FUSSY, "many.pipe": MANY})
    if how == "copy":
        job = deployed.copy("many")
        instance.jobs.wait(job.id)
        assert deployed.sql("SELECT count() AS c, uniqExact(id) AS u FROM events") == [{"c": 300_001, "u": 300_001}]
    elif how == "events":
        send(deployed, "b", 13)
    else:
        deployed.append("events", [Lines(b'{"id":"b","n":13}')])
    send(deployed, "c", 2)
    assert sums(deployed) == [16, 16, 16]
    with pytest.raises(ClickpipeError, match="one of its views refused a row"):
        deployed.deployments.promote(number)
    deployed.deployments.discard(number)
    send(deployed, "d", 4)
    assert sums(deployed) == [20, 20, 20]


def test_a_view_beside_does_not_stop_a_replay(instance: Instance, workspace: Workspace) -> None:
    workspace.deploy(NARROW)
    workspace.ingest("events", [{"id": "b", "n": 1313}, {"id": "c", "n": "none"}])
    workspace.deploy(FILES)
    number = stage(workspace, {**FUSSY, "events.datasource": KEYED["events.datasource"]})
    job = workspace.data.replay_quarantine("events")
    instance.jobs.wait(job.id)
    assert sums(workspace) == [1313, 1313, 1313]
    with pytest.raises(ClickpipeError, match="one of its views refused a row"):
        workspace.deployments.promote(number)


def test_a_quarantine_that_was_replayed_is_not_replayed_in_the_other(instance: Instance, workspace: Workspace) -> None:
    workspace.deploy(NARROW)
    workspace.ingest("events", [{"id": "b", "n": 1313}])
    workspace.deploy(FILES)
    number = stage(workspace, WIDER)
    instance.jobs.wait(workspace.data.replay_quarantine("events").id)
    assert sums(workspace) == [1313, 1313, 1313]
    with pytest.raises(ClickpipeError, match="rows of events_quarantine were replaced or deleted"):
        workspace.deployments.promote(number)


def test_a_view_that_was_mended_is_not_in_the_way_any_more(instance: Instance, workspace: Workspace) -> None:
    """What was live before is kept beside its mended successor, with the view that refuses rows."""
    workspace.deploy(FUSSY)
    prepared = workspace.deployments.prepare(FILES)
    workspace.deployments.apply(workspace.deployments.start(prepared), prepared, keep_seconds=100)
    previous = workspace.deployments.previous()
    assert previous is not None
    send(workspace, "b", 13)
    assert sums(workspace) == [13, 13, 13]
    with pytest.raises(ClickpipeError, match="one of its views refused a row"):
        workspace.deployments.promote(previous.deployment_id)
    live = workspace.queries.live()
    workspace.deploy(DOUBLED)
    assert instance.catalog.live_deployment(workspace.id) is not None
    assert live is not workspace.live


def test_a_view_of_the_live_one_still_refuses(workspace: Workspace) -> None:
    workspace.deploy(FUSSY)
    number = stage(workspace, {**FUSSY, "kept.datasource": KEYED["events.datasource"]})
    with pytest.raises(ClickpipeError, match="None of the rows could be written"):
        workspace.ingest("events", [{"id": "b", "n": 13}])
    workspace.deployments.promote(number)


@pytest.mark.parametrize("value", [13, "none"])
def test_a_quarantine_beside_that_takes_no_rows_does_not_stop_the_live_one(
    instance: Instance, workspace: Workspace, value: int | str
) -> None:
    """13 is refused by a view, "none" is no number."""
    workspace.deploy(FUSSY)
    number = stage(workspace, {**FUSSY, "events.datasource": WIDER["events.datasource"]})
    other = workspace.deployments._deployer.standby.other
    assert other is not None
    instance.engine.execute(f"DROP TABLE {other.physical.tables['events_quarantine']} SYNC")
    result = workspace.ingest("events", [{"id": "a", "n": 2}, {"id": "b", "n": value}])
    assert (result.successful_rows, result.quarantined_rows, result.readable) == (1, 1, True)
    assert workspace.sql("SELECT id FROM events_quarantine") == [{"id": "b"}]
    assert sums(workspace) == [2, 2, 2]
    with pytest.raises(ClickpipeError, match="one of its views refused a row"):
        workspace.deployments.promote(number)
