"""Rows that are there already: filled in while others arrive, in parts, held back, stopped and gone on with."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from clickpipe.deploy import Pace
from clickpipe.engine import Engine
from clickpipe.ingest import Lines
from clickpipe.runtime import Instance, Workspace
from tests.conftest import RunPython
from tests.deploy.projects import DOUBLED, EVENTS, FILES, KEYED, MANY, WIDER, send, stage, sums


@pytest.mark.parametrize("files", [WIDER, DOUBLED], ids=["a table", "a view"])
def test_rows_are_taken_while_history_is_filled(
    engine: Engine, deployed: Workspace, monkeypatch: pytest.MonkeyPatch, files: dict[str, str]
) -> None:
    """A deployment of much data holds nobody up."""
    execute, filling, go_on = engine.execute, threading.Event(), threading.Event()

    def run(sql: str, *args: Any, **more: Any) -> Any:
        if sql.startswith("INSERT INTO") and "_part`" in sql:
            filling.set()
            assert go_on.wait(30)
        return execute(sql, *args, **more)

    monkeypatch.setattr(engine, "execute", run)
    thread = threading.Thread(target=lambda: deployed.deploy(files))
    thread.start()
    try:
        assert filling.wait(30)
        send(deployed, "b", 2)
        assert sums(deployed) == [3, 3, 3]
        assert deployed.deployments.staging() is None
    finally:
        go_on.set()
        thread.join()
    send(deployed, "c", 4)
    assert sums(deployed) == ([7, 14, 14] if files is DOUBLED else [7, 7, 7])


def test_a_scheduled_copy_does_not_replace_what_is_being_copied(
    engine: Engine, instance: Instance, deployed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would undo the deployment; one that is asked for does."""
    kept = {**FILES, "kept.datasource": KEYED["events.datasource"]}
    execute, due = engine.execute, []

    def run(sql: str, *args: Any, **more: Any) -> Any:
        if sql.startswith("INSERT INTO") and "_part`" in sql:
            due.append(deployed.copies.start_due("copy"))
        return execute(sql, *args, **more)

    instance.jobs.wait(deployed.copy("copy").id)
    monkeypatch.setattr(engine, "execute", run)
    deployed.deploy(kept)
    assert due == [None]
    assert deployed.sql("SELECT count() AS c FROM kept") == [{"c": 1}]
    monkeypatch.undo()
    assert deployed.copies.start_due("copy") is not None


def test_a_table_without_partitions_takes_another_engine(workspace: Workspace) -> None:
    kept = {**FILES, "kept.datasource": EVENTS.replace("ENGINE_SORTING_KEY id\n", "ENGINE Memory\n")}
    workspace.deploy(kept)
    workspace.append("kept", [Lines(b'{"id":"a","n":1}')])
    number = stage(workspace, {**kept, "kept.datasource": EVENTS})
    workspace.append("kept", [Lines(b'{"id":"b","n":2}')])
    workspace.deployments.promote(number)
    assert workspace.sql("SELECT id, n FROM kept ORDER BY id") == [{"id": "a", "n": 1}, {"id": "b", "n": 2}]


def test_history_is_copied_partition_by_partition(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clickpipe.deploy.backfill.run._AT_ONCE", 1)
    monthly = EVENTS.replace("ENGINE_SORTING_KEY", "ENGINE_PARTITION_KEY n % 3\nENGINE_SORTING_KEY")
    workspace.deploy({**FILES, "events.datasource": monthly})
    workspace.ingest("events", [{"id": "x", "n": n} for n in range(9)])
    told: list[str] = []
    workspace.deploy({**FILES, "events.datasource": monthly.replace("KEY id", "KEY n, id")}, progress=told.append)
    copied = [text for text in told if ", part" in text]
    assert copied == [f"copying 9 rows of events, part {number} of 3" for number in (1, 2, 3)]
    assert sums(workspace) == [36, 36, 36]


def test_how_far_a_long_backfill_is_is_told(
    instance: Instance, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows read of how many, once a second; held back here, so that it takes long."""
    many = MANY.replace("13 : 0", "1 : 0")
    workspace.deploy({**FILES, "many.pipe": many})
    instance.jobs.wait(workspace.copy("many").id)
    pace = Pace(instance.engine, threads=1, rows_per_second=100_000)
    pace.settings = {**pace.settings, "max_block_size": 5_000}  # the pace is kept from block to block
    monkeypatch.setattr(workspace.deployments._deployer._applier, "_pace", pace)
    monkeypatch.setattr("clickpipe.deploy.backfill.progress._EVERY", 0.02)
    told: list[str] = []
    workspace.deploy({**KEYED, "many.pipe": many}, progress=told.append)
    pattern = re.compile(r"copying 300000 rows of events: [\d,]+ of 300,000 rows")
    assert [text for text in told if pattern.fullmatch(text)], "\n".join(told)
    assert sums(workspace) == [1, 1, 1]


STOPPED = """
    import json, sys, threading, time
    from pathlib import Path
    from clickpipe.config import Settings
    from clickpipe.runtime import Instance
    folder, files, keyed, rows = Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3]), int(sys.argv[4])
    with Instance(folder, Settings(backfill_rows_per_second=rows)) as instance:
        workspace = instance.default
        if workspace.live is None:
            workspace.deploy(files)
            instance.jobs.wait(workspace.copy("many").id)
            prepared = workspace.deployments.prepare(keyed)
            deployment, filling = workspace.deployments.start(prepared), threading.Event()

            def work(report):
                tell = lambda text: filling.set() if "copying" in text else None
                workspace.deployments.apply(deployment, prepared, tell)
                return {}

            job = instance.jobs.submit(workspace.id, "deployment", "2", work)
            filling.wait()
            time.sleep(0.3)
        else:
            instance.jobs.wait_for_all(workspace.id)
            (found,) = workspace.sql("SELECT count() AS c, uniqExact(id) AS u FROM events")
            (job, *_) = instance.catalog.jobs.newest(workspace.id)
            print(workspace.live.deployment_id, found["c"], found["u"], job.status)
    print("closed")
"""


def test_a_server_that_is_stopped_does_not_wait_for_a_backfill(run_python: RunPython, tmp_path: Path) -> None:
    """It would take five minutes; the next server goes on with it."""
    many = {"many.pipe": MANY}
    arguments = (tmp_path, json.dumps({**FILES, **many}), json.dumps({**KEYED, **many}))
    assert run_python(STOPPED, *arguments, "1000").stdout.split() == ["closed"]
    assert run_python(STOPPED, *arguments, "0").stdout.split() == ["2", "300000", "300000", "done", "closed"]
