"""Workspaces and previews as the data folder keeps them."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from clickpipe.config import Settings
from clickpipe.deploy import Rows
from clickpipe.ingest import Lines
from clickpipe.runtime import Instance, Workspace
from tests.conftest import RunPython
from tests.deploy.projects import stage

FILES = {
    "events.datasource": "SCHEMA >\n    id String,\n    n Int32\n\nENGINE_SORTING_KEY id\n",
    "sums.datasource": (
        "SCHEMA >\n    id String,\n    n SimpleAggregateFunction(sum, Int64)\n\n"
        "ENGINE AggregatingMergeTree\nENGINE_SORTING_KEY id\n"
    ),
    "sums_mv.pipe": (
        "NODE n\nSQL >\n    SELECT id, sum(n) AS n FROM events GROUP BY id\nTYPE materialized\nDATASOURCE sums\n"
    ),
    "kept.datasource": "SCHEMA >\n    id String\n\nENGINE Memory\n",
}

RUN = """
    import json, os, sys
    from pathlib import Path
    from clickpipe.deploy import Rows
    from clickpipe.runtime import Instance
    folder, files, step = Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]
    with Instance(folder) as instance:
        default, databases = instance.default, "SELECT name FROM system.databases WHERE name LIKE 'ws_%'"
        if step == "make":
            default.deploy(files)
            default.ingest("events", [{"id": "a", "n": 1}])
            instance.workspaces.preview(default, "branch", Rows.ALL).ingest("events", [{"id": "b", "n": 2}])
        if step == "kill":
            instance.service_log.remove = instance.ingester.forget = lambda _: os._exit(9)
            instance.workspaces.delete(instance.workspaces.named("branch"))
        if step == "foreign":
            instance.engine.storage.create_database("ws_0123456789abcdef")
        found = {w.name: w.sql("SELECT sum(n) AS s FROM sums")[0]["s"] for w in instance.workspaces}
        names = instance.engine.execute(databases, output="TSVRaw").body.decode().split()
        print(json.dumps([found, len({name.removesuffix("_service") for name in names})]))
"""


def test_previews_are_there_again_and_nothing_is_left_of_those_that_are_gone(
    run_python: RunPython, tmp_path: Path
) -> None:
    def run(step: str, *, check: bool = True) -> str:
        return run_python(RUN, tmp_path, json.dumps(FILES), step, check=check).stdout

    assert json.loads(run("make")) == [{"default": 1, "branch": 3}, 2]
    assert json.loads(run("again")) == [{"default": 1, "branch": 3}, 2]
    assert run("kill", check=False) == ""
    assert json.loads(run("after")) == [{"default": 1}, 1]
    assert json.loads(run("foreign")) == [{"default": 1}, 2]
    assert json.loads(run("again")) == [{"default": 1}, 2]  # nobody knows whose it is: it is not dropped


def test_a_preview_of_a_workspace_that_is_written_to(instance: Instance, workspace: Workspace) -> None:
    """Targets of views fit their sources, whatever comes in meanwhile; rows of other engines are copied."""
    workspace.deploy(FILES)
    workspace.append("kept", [])
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            workspace.ingest("events", [{"id": f"r{number}", "n": 1}])
            number += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(3):
            made = instance.workspaces.preview(workspace, f"busy_{number}", Rows.ALL)
            (events,) = made.sql("SELECT count() AS c, sum(n) AS s FROM events")
            assert events["c"] == events["s"] == made.sql("SELECT sum(n) AS s FROM sums")[0]["s"]
            instance.workspaces.delete(made)
    finally:
        stop.set()
        thread.join()
    (rows,) = workspace.sql("SELECT count() AS c FROM events")
    assert workspace.sql("SELECT sum(n) AS s FROM sums") == [{"s": rows["c"]}]


def test_instances_in_memory_leave_each_other_alone(workspace: Workspace) -> None:
    """They share the engine of the process."""
    workspace.deploy(FILES)
    workspace.ingest("events", [{"id": "a", "n": 1}])
    with Instance(None) as other:
        other.default.deploy(FILES)
        assert other.default.sql("SELECT count() AS c FROM events") == [{"c": 0}]
    assert workspace.sql("SELECT sum(n) AS s FROM sums") == [{"s": 1}]


def test_a_workspace_with_a_staged_deployment_leaves_nothing_behind(instance: Instance) -> None:
    def left() -> set[str]:
        sql = "SELECT concat(database, '.', name) FROM system.tables WHERE match(database, '^(ws_|clickpipe_)')"
        return set(instance.engine.execute(sql, output="TSVRaw").body.decode().split())

    before = left()
    folders = {path for path in instance.data_dir.rglob("*") if path.is_dir()}
    made = instance.workspaces.create("short_lived")
    made.deploy(FILES)
    made.ingest("events", [{"id": "a", "n": 1}, {"id": "b", "n": "many"}])
    wider = "SCHEMA >\n    id String,\n    n Int64\n\nENGINE_SORTING_KEY n, id\n"
    stage(made, {**FILES, "events.datasource": wider})
    made.ingest("events", [{"id": "c", "n": 2}])
    made.staging_data.append("events", [Lines(b'{"id":"d","n":3}')])
    made.append("events", [Lines(b'{"id":"e","n":4}\n{"id":"f","n":"many"}')])
    assert len({table for table in left() - before if made.id in table}) > len(FILES) * 2
    instance.workspaces.delete(made)
    assert left() <= before
    assert not [path for path in instance.data_dir.rglob("*") if made.id in path.name]
    assert set(instance.data_dir.rglob("wal/*")) <= folders


@pytest.mark.parametrize("whose", ["all", "default"])
def test_whose_the_secrets_of_the_environment_are(monkeypatch: pytest.MonkeyPatch, whose: str) -> None:
    monkeypatch.setenv("CLICKPIPE_SECRET_outer", "outside")
    with Instance(None, Settings(environment_secrets=whose)) as instance:
        made = instance.workspaces.create("team")
        pipe = "NODE n\nSQL >\n    %\n    SELECT {{tb_secret('outer', 'none')}} AS v\nTYPE endpoint\n"
        for workspace in (instance.default, made):
            workspace.deploy({"pipes/outer.pipe": pipe})
        previews = [instance.workspaces.preview(one, f"of_{one.name}", Rows.NONE) for one in (instance.default, made)]
        found = [one.query("outer")[0]["v"] for one in (instance.default, made, *previews)]
        assert found == (["outside"] * 4 if whose == "all" else ["outside", "none", "outside", "none"])
