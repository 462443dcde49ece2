"""Two deployments side by side: what waits in staging, promotion, and the way back."""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path

import pytest

from clickpipe.catalog import DeploymentStatus
from clickpipe.deploy import Tables
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine
from clickpipe.ingest import Lines
from clickpipe.runtime import Instance, Workspace
from tests.conftest import RunPython
from tests.deploy.projects import (
    DOUBLED,
    EVENTS,
    FILES,
    FORWARD,
    KEYED,
    NARROW,
    WIDER,
    send,
    stage,
    staged,
    staged_sums,
    sums,
)


@pytest.mark.parametrize(
    ("files", "factor"),
    [
        pytest.param(WIDER, (1, 1, 1), id="types and columns"),
        pytest.param(KEYED, (1, 1, 1), id="sorting key"),
        pytest.param(DOUBLED, (1, 2, 2), id="view"),
        pytest.param(FORWARD, (10, 10, 10), id="forward query"),
    ],
)
def test_rows_reach_both_once_and_there_is_a_way_back(
    engine: Engine, deployed: Workspace, files: dict[str, str], factor: tuple[int, int, int]
) -> None:
    live = deployed.live
    number = stage(deployed, files)
    assert deployed.live is live
    send(deployed, "b", 2)
    deployed.append("events", [Lines(b'{"id":"c","n":4}')])
    assert sums(deployed) == [7, 7, 7]
    history = 1 if files is FORWARD else factor[1]  # what views made before is kept where only their source changed
    assert staged_sums(deployed) == [7 * factor[0], history + 6 * factor[1], history + 6 * factor[2]]
    before = staged_sums(deployed)
    deployed.deployments.promote(number)
    assert (deployed.live is not live, deployed.deployments.staging(), deployed.deployments.previous()) == (
        True,
        None,
        live,
    )
    assert sums(deployed) == before
    send(deployed, "d", 8)
    after = sums(deployed)
    assert after[0] - before[0] == 8
    assert after[1] - before[1] == after[2] - before[2] == 8 * (2 if files is DOUBLED else 1)
    assert live is not None
    deployed.deployments.promote(live.deployment_id)
    assert deployed.live is live
    assert sums(deployed) == [15, 15, 15]
    send(deployed, "e", 16)
    assert sums(deployed) == [31, 31, 31]
    deployed.deployments.discard(number)
    send(deployed, "f", 32)
    assert sums(deployed) == [63, 63, 63]
    assert Tables(engine, deployed.database).existing() == set(live.physical.objects)


def test_the_forward_query_of_the_older_has_no_say(workspace: Workspace) -> None:
    workspace.deploy(FILES)
    workspace.deploy(FORWARD)
    wider = {**FORWARD, "events.datasource": EVENTS.replace("n Int32", "n Int64,\n    tag String DEFAULT ''")}
    older = workspace.queries.live().deployment_id
    workspace.deployments.promote(stage(workspace, wider))
    send(workspace, "b", 2)
    workspace.deployments.promote(older)
    assert sums(workspace) == [2, 2, 2]


def test_staging_is_discarded_and_leaves_nothing(engine: Engine, instance: Instance, deployed: Workspace) -> None:
    before = Tables(engine, deployed.database).existing()
    number = stage(deployed, WIDER)
    with pytest.raises(ClickpipeError, match=f"Deployment {number} waits in staging"):
        deployed.deploy(KEYED)
    with pytest.raises(ClickpipeError, match="There is no deployment 99"):
        deployed.deployments.promote(99)
    deployed.deployments.discard(number)
    found = instance.catalog.deployment(deployed.id, number)
    assert found is not None
    assert found.status is DeploymentStatus.DELETED
    assert Tables(engine, deployed.database).existing() == before
    send(deployed, "b", 2)
    assert sums(deployed) == [3, 3, 3]
    deployed.deploy(KEYED)
    assert sums(deployed) == [3, 3, 3]


def test_values_that_do_not_fit_stop_nothing(deployed: Workspace) -> None:
    number = stage(deployed, NARROW)
    send(deployed, "b", 1000)
    assert sums(deployed) == [1001, 1001, 1001]
    assert staged_sums(deployed)[0] == 1
    assert number


def test_bad_rows_reach_both_quarantines(deployed: Workspace) -> None:
    stage(deployed, WIDER)
    assert deployed.ingest("events", [{"id": "x", "n": "many"}]).quarantined_rows == 1
    assert staged(deployed, "SELECT id, n FROM events_quarantine") == '{"id":"x","n":"many"}'


def test_a_standby_is_outdated_even_if_that_cannot_be_written(
    instance: Instance, deployed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = stage(deployed, WIDER)

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(instance.catalog, "set_outdated", fail)
        deployed.data.truncate("events")  # what was asked for is done
    with pytest.raises(ClickpipeError, match="rows of events were replaced or deleted"):
        deployed.deployments.promote(number)
    deployed.deployments.discard(number)
    again = stage(deployed, WIDER)
    deployed.deployments.promote(again)


@pytest.mark.parametrize("change", ["truncate", "delete", "copy"])
def test_what_is_done_to_whole_tables_is_not_passed_on(instance: Instance, deployed: Workspace, change: str) -> None:
    kept = {**WIDER, "kept.datasource": WIDER["events.datasource"]}
    number = stage(deployed, kept)
    if change == "truncate":
        deployed.data.truncate("events")
    elif change == "delete":
        deployed.data.delete_rows("events", "id = 'a'")
    else:
        job = deployed.copy("copy")
        instance.jobs.wait(job.id)
    name = "kept" if change == "copy" else "events"
    with pytest.raises(ClickpipeError, match=f"rows of {name} were replaced or deleted") as caught:
        deployed.deployments.promote(number)
    assert caught.value.status == 409
    deployed.deployments.discard(number)
    deployed.deployments.promote(stage(deployed, kept))


def test_what_both_share_is_never_outdated(deployed: Workspace) -> None:
    number = stage(deployed, DOUBLED)
    deployed.data.truncate("kept")
    deployed.deployments.promote(number)


def test_a_deployment_behind_live_goes_with_the_next(engine: Engine, deployed: Workspace) -> None:
    deployed.deployments.promote(stage(deployed, WIDER))
    assert deployed.deployments.previous() is not None
    deployed.deploy(KEYED, allow_destructive=True)
    assert deployed.deployments.previous() is None
    live = deployed.queries.live()
    assert Tables(engine, deployed.database).existing() == set(live.physical.objects)


def test_a_writer_and_a_reader_notice_nothing(deployed: Workspace) -> None:
    """Rows are written all the time while deployments are staged, promoted, rolled back and discarded."""
    stop, sent, odd = threading.Event(), [1], []

    def write() -> None:
        while not stop.is_set():
            send(deployed, f"w{sent[0]}", 1)
            sent[0] += 1

    def read() -> None:
        least = 0
        while not stop.is_set():
            try:
                found = [deployed.sql(f"SELECT sum(n) AS s FROM {name}")[0]["s"] for name in ("events", "totals")]
            except ClickpipeError as error:
                odd.append(error.message)
                return
            if min(found) < least:
                odd.append(f"{found} after {least}")
            least = min(found)

    threads = [threading.Thread(target=work) for work in (write, read)]
    for thread in threads:
        thread.start()
    try:
        for files in (WIDER, KEYED, WIDER):
            first = deployed.queries.live().deployment_id
            number = stage(deployed, files)
            deployed.deployments.promote(number)
            deployed.deployments.promote(first)
            deployed.deployments.promote(number)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert odd == []
    assert sums(deployed) == [sent[0]] * 3


RUN = """
    import importlib, json, os, sys
    from pathlib import Path
    from clickpipe.runtime import Instance
    files, wider = json.loads(sys.argv[2]), json.loads(sys.argv[3])
    step, _, killed = sys.argv[4].partition("!")
    with Instance(Path(sys.argv[1])) as instance:
        workspace = instance.default
        if step == "stage" and workspace.live is None:
            workspace.deploy(files)
        if killed:
            module, owner, name = killed.rsplit(".", 2)
            setattr(getattr(importlib.import_module(module), owner), name, lambda *_, **__: os._exit(9))
        if step == "stage":
            workspace.ingest("events", [{"id": "a", "n": 1}])
            prepared = workspace.deployments.prepare(wider)
            workspace.deployments.stage(workspace.deployments.start(prepared), prepared)
        workspace.ingest("events", [{"id": step, "n": 1}])
        if step == "promote":
            workspace.deployments.promote(workspace.deployments.staging().deployment_id)
        if step == "rollback":
            workspace.deployments.promote(workspace.deployments.previous().deployment_id)
        beside = workspace.deployments.staging() or workspace.deployments.previous()
        sums = [workspace.sql(f"SELECT sum(n) AS s FROM {t}")[0]["s"] for t in ("events", "sums")]
        print(beside.deployment_id, *sums)
"""


def run(run_python: RunPython, folder: Path, step: str, *, check: bool = True) -> list[str]:
    return run_python(RUN, folder, json.dumps(FILES), json.dumps(WIDER), step, check=check).stdout.split()


def test_a_restart_between(run_python: RunPython, tmp_path: Path) -> None:
    """Both deployments, and what passes rows on between them, are there again."""
    assert [run(run_python, tmp_path, step) for step in ("stage", "again", "promote", "after", "rollback", "end")] == [
        ["2", "2", "2"],
        ["2", "3", "3"],
        ["1", "4", "4"],
        ["1", "5", "5"],
        ["2", "6", "6"],
        ["2", "7", "7"],
    ]


@pytest.mark.parametrize(
    ("killed", "beside"),
    [
        pytest.param("clickpipe.deploy.standby.standby.Standby.connect", "2", id="staged, rows not passed on yet"),
        pytest.param("clickpipe.catalog.store.Catalog.promote", "2", id="rows passed on no more, not promoted"),
        pytest.param("clickpipe.auth.tokens.TokenIndex.refresh", "1", id="promoted, rows not passed back yet"),
    ],
)
def test_a_kill_at_each_step(run_python: RunPython, tmp_path: Path, killed: str, beside: str) -> None:
    first = "Standby.connect" in killed
    if not first:
        run(run_python, tmp_path, "stage")
    assert run(run_python, tmp_path, f"{'stage' if first else 'promote'}!{killed}", check=False) == []
    if first:  # it was not ready: it is gone, and is staged anew
        assert run(run_python, tmp_path, "stage") == ["3", "3", "3"]  # one row of each try, one at its end
        return
    number, events, total = run(run_python, tmp_path, "after")
    assert (number, events, total) == (beside, "4", "4")
    number, events, total = run(run_python, tmp_path, "promote" if beside == "2" else "rollback")
    assert (events, total) == ("5", "5")
    assert run(run_python, tmp_path, "end")[1:] == ["6", "6"]
