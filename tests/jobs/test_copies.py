from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from clickpipe.catalog import Job
from clickpipe.deploy import Tables
from clickpipe.diagnostics import ClickpipeError, ProjectError
from clickpipe.engine import Engine, EngineError
from clickpipe.jobs import Population, run_copy
from clickpipe.runtime import Instance, Workspace
from tests.conftest import RunPython

EVENTS = "SCHEMA >\n    id String,\n    n Int32\n\nENGINE_SORTING_KEY id\n"
COPY = """\
NODE chosen
SQL >
    %
    SELECT id, n FROM events WHERE n >= {{Int32(least, 0)}} AND throwIf(n > 100) = 0
TYPE copy
TARGET_DATASOURCE kept
COPY_MODE append
"""
STAMP = (
    "NODE n\nSQL >\n    %\n    SELECT {{String(job_timestamp)}} AS id, toInt32(1) AS n\n"
    "TYPE copy\nTARGET_DATASOURCE stamps\n"
)
FILES = {
    "events.datasource": EVENTS,
    "kept.datasource": EVENTS,
    "stamps.datasource": EVENTS,
    "seen.datasource": EVENTS,
    "choose.pipe": COPY,
    "stamp.pipe": STAMP,
    "seen_mv.pipe": "NODE n\nSQL >\n    SELECT id, n FROM kept\nTYPE materialized\nDATASOURCE seen\n",
}


@pytest.fixture(scope="module")
def shared(instance: Instance) -> Iterator[Workspace]:
    made = instance.workspaces.create("copies")
    made.deploy(FILES)
    yield made
    instance.workspaces.delete(made)


@pytest.fixture
def deployed(engine: Engine, shared: Workspace) -> Workspace:
    """Two events, nothing else: tables are emptied before each test, which is quicker than making them."""
    for table in shared.queries.live().physical.tables.values():
        engine.execute(f"TRUNCATE TABLE {table}")
    shared.ingest("events", [{"id": "a", "n": 1}, {"id": "b", "n": 2}])
    return shared


def copy(engine: Engine, workspace: Workspace, mode: str | None = None, **values: Any) -> int:
    return run_copy(engine, workspace.queries.live(), "choose", values, mode)


def kept(workspace: Workspace, name: str = "kept") -> list[tuple[str, int]]:
    return [(row["id"], row["n"]) for row in workspace.sql(f"SELECT id, n FROM {name} ORDER BY n, id")]


def finished(instance: Instance, workspace: Workspace, job: Job) -> Job:
    instance.jobs.wait(job.id)
    found = instance.catalog.jobs.get(workspace.id, job.id)
    assert found is not None
    return found


def test_append_adds_also_the_same_rows_again(engine: Engine, deployed: Workspace) -> None:
    assert copy(engine, deployed) == 2
    assert copy(engine, deployed) == 2
    assert kept(deployed) == [("a", 1), ("a", 1), ("b", 2), ("b", 2)]


@pytest.mark.parametrize("end", ["SETTINGS max_threads = 1", "UNION ALL SELECT 'u', 7 SETTINGS max_threads = 1"])
def test_a_select_with_settings_of_its_own(instance: Instance, workspace: Workspace, end: str) -> None:
    """In a copy, in a view that a deployment and a population fill: settings of ours do not go behind them."""
    files = {"events.datasource": EVENTS, "kept.datasource": EVENTS}
    workspace.deploy(files)
    workspace.ingest("events", [{"id": "a", "n": 1}])
    select = f"SELECT id, n FROM events {end}"
    copying = f"NODE n\nSQL >\n    {select}\nTYPE copy\nTARGET_DATASOURCE kept\n"
    view = f"NODE n\nSQL >\n    {select}\nTYPE materialized\nDATASOURCE viewed\n"
    more = {"viewed.datasource": EVENTS, "copying.pipe": copying, "view.pipe": view}
    workspace.deploy(files | more)
    rows = 2 if "UNION" in end else 1
    assert len(kept(workspace, "viewed")) == rows
    assert run_copy(instance.engine, workspace.queries.live(), "copying", {}) == rows
    job = finished(instance, workspace, workspace.jobs.populate(Population("view", truncate=True)))
    assert (job.status, len(kept(workspace, "viewed"))) == ("done", rows)


def test_replace_leaves_the_new_rows_only(engine: Engine, deployed: Workspace) -> None:
    deployed.ingest("kept", [{"id": "old", "n": 9}])
    before = Tables(engine, deployed.database).existing()
    assert copy(engine, deployed, "replace") == 2
    assert kept(deployed) == [("a", 1), ("b", 2)]
    assert Tables(engine, deployed.database).existing() == before


def test_parameters_choose_the_rows(engine: Engine, deployed: Workspace) -> None:
    assert copy(engine, deployed, "replace", least=2) == 1
    assert kept(deployed) == [("b", 2)]
    assert copy(engine, deployed, "replace", least=3) == 0
    assert kept(deployed) == []
    with pytest.raises(ClickpipeError):
        copy(engine, deployed, least="many")


def test_events_and_views_still_find_the_target_after_a_replace(engine: Engine, deployed: Workspace) -> None:
    copy(engine, deployed, "replace")
    deployed.ingest("kept", [{"id": "c", "n": 3}])
    assert kept(deployed) == [("a", 1), ("b", 2), ("c", 3)]
    assert kept(deployed, "seen") == [("c", 3)]
    copy(engine, deployed, "append", least=2)
    assert kept(deployed, "seen") == [("b", 2), ("c", 3)]


def test_the_template_may_ask_for_the_time_of_the_job(engine: Engine, deployed: Workspace) -> None:
    assert run_copy(engine, deployed.queries.live(), "stamp", {"job_timestamp": "2026-01-02 03:04:05"}) == 1
    assert run_copy(engine, deployed.queries.live(), "stamp", {}) == 1
    rows = kept(deployed, "stamps")
    assert ("2026-01-02 03:04:05", 1) in rows
    assert [len(text) for text, _ in rows] == [19, 19]


@pytest.mark.parametrize("name", ["nothing", "seen_mv", "events"])
def test_what_is_no_copy_is_not_found(engine: Engine, instance: Instance, deployed: Workspace, name: str) -> None:
    before = instance.catalog.jobs.newest(deployed.id)
    for start in (lambda: run_copy(engine, deployed.queries.live(), name, {}), lambda: deployed.copy(name)):
        with pytest.raises(ClickpipeError, match=f"'{name}' is not a copy pipe") as error:
            start()
        assert error.value.status == 404
    assert instance.catalog.jobs.newest(deployed.id) == before


def test_a_mode_that_does_not_exist_is_refused(engine: Engine, deployed: Workspace) -> None:
    with pytest.raises(ClickpipeError, match="append or replace, not 'merge'"):
        copy(engine, deployed, "merge")
    assert kept(deployed) == []


@pytest.mark.parametrize("mode", ["append", "replace"])
def test_a_copy_that_fails_leaves_the_target_as_it_was(engine: Engine, deployed: Workspace, mode: str) -> None:
    copy(engine, deployed)
    deployed.ingest("events", [{"id": "huge", "n": 101}])
    before = Tables(engine, deployed.database).existing()
    with pytest.raises(EngineError, match="throwIf"):
        copy(engine, deployed, mode)
    assert kept(deployed) == [("a", 1), ("b", 2)]
    assert Tables(engine, deployed.database).existing() == before


def test_a_copy_is_a_job_with_its_rows_or_its_error(instance: Instance, deployed: Workspace) -> None:
    done = finished(instance, deployed, deployed.copy("choose", {"least": 2}, "replace"))
    assert (done.status, done.kind, done.resource, done.result) == ("done", "copy", "choose", {"rows": 1})
    failed = finished(instance, deployed, deployed.copy("choose", {"least": "many"}))
    assert (failed.status, failed.result) == ("error", {})
    assert "'many'" in failed.error
    assert kept(deployed) == [("b", 2)]


def test_a_scheduled_copy_needs_defaults(workspace: Workspace) -> None:
    needy = COPY.replace("Int32(least, 0)", "Int32(least)") + "COPY_SCHEDULE */5 * * * *\n"
    with pytest.raises(ProjectError, match="needs a default for every parameter: least"):
        workspace.deploy({**FILES, "choose.pipe": needy})


def test_a_copy_waits_for_a_deployment_and_writes_what_is_live_then(instance: Instance, deployed: Workspace) -> None:
    wider = {**FILES, "kept.datasource": EVENTS.replace("n Int32", "n Int32,\n    more String DEFAULT 'x'")}
    with deployed.lock.paused():
        job = deployed.copy("choose")
        instance.jobs.wait(job.id, 0.2)
        assert deployed.sql("SELECT count() AS c FROM kept") == [{"c": 0}]
    instance.jobs.wait(job.id)
    deployed.deploy(wider)
    assert finished(instance, deployed, deployed.copy("choose")).status == "done"
    assert deployed.sql("SELECT count() AS c, any(more) AS m FROM kept") == [{"c": 4, "m": "x"}]
    deployed.deploy(FILES, allow_destructive=True)


class _Rows(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(b"a,1\nb,2\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


READS_A_URL = """
from clickpipe.config import Settings
from clickpipe.diagnostics import ClickpipeError
from clickpipe.jobs import run_copy
from clickpipe.runtime import Instance

events = "SCHEMA >\\n    id String,\\n    n Int32\\n\\nENGINE_SORTING_KEY id\\n"
copy = (
    "NODE n\\nSQL >\\n    %\\n    SELECT id, n FROM url({{tb_secret('rows')}}, 'CSV', 'id String, n Int32')\\n"
    "TYPE copy\\nTARGET_DATASOURCE rows\\n"
)
files = {"rows.datasource": events, "fetch.pipe": copy}
with Instance(None, Settings(copy_sources="url")) as instance:
    workspace = instance.default
    workspace.deploy(files)
    print(run_copy(instance.engine, workspace.queries.live(), "fetch", {}))
    try:
        workspace.sql(f"SELECT * FROM url('{sys.argv[1]}', 'CSV', 'id String, n Int32')")
    except ClickpipeError as error:
        print(error.message)
"""


def test_a_copy_reads_what_the_settings_name_and_nobody_else_does(run_python: RunPython) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Rows) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/rows.csv"
        done = run_python("import os, sys\nos.environ['CLICKPIPE_SECRET_rows'] = sys.argv[1]\n" + READS_A_URL, url)
        server.shutdown()
    assert done.stdout.splitlines() == ["2", "The table function 'url' is not allowed."]


SLOW = (
    "NODE n\nSQL >\n    %\n    SELECT 'x' AS id, toInt32(number % 1000) AS n FROM numbers({{UInt64(rows, 5)}})\n"
    "TYPE copy\nTARGET_DATASOURCE kept\n"
)


@pytest.mark.parametrize("mode", ["append", "replace"])
def test_a_copy_is_cancelled_and_leaves_nothing(instance: Instance, deployed: Workspace, mode: str) -> None:
    deployed.deploy({**FILES, "slow.pipe": SLOW})
    deployed.ingest("kept", [{"id": "old", "n": 1}])
    before = Tables(instance.engine, deployed.database).existing()
    job = deployed.copy("slow", {"rows": "1000000000000"}, mode)
    while not json.loads(instance.engine.execute(RUNNING, output="JSONCompact").body)["data"]:
        time.sleep(0.01)
    instance.jobs.cancel(job)
    ended = finished(instance, deployed, job)
    assert (ended.status, ended.error) == ("cancelled", "")
    assert kept(deployed) == kept(deployed, "seen") == [("old", 1)]
    assert Tables(instance.engine, deployed.database).existing() == before
    again = deployed.jobs.retry(ended)
    assert again.id != job.id
    instance.jobs.cancel(again)
    assert finished(instance, deployed, again).status == "cancelled"


RUNNING = "SELECT 1 FROM system.processes WHERE query LIKE 'INSERT INTO%numbers(%' AND query NOT LIKE '%processes%'"


def test_a_copy_that_fails_midway_leaves_nothing(instance: Instance, deployed: Workspace) -> None:
    """Rows come in blocks: those before the one that fails were written."""
    failing = SLOW.replace("toInt32(number % 1000)", "toInt32(number % 1000 + throwIf(number = 900000))")
    deployed.deploy({**FILES, "slow.pipe": failing})
    assert finished(instance, deployed, deployed.copy("slow", {"rows": "1000000"})).status == "error"
    assert kept(deployed) == []
    done = finished(instance, deployed, deployed.copy("slow", {"rows": "200000"}))
    assert done.result == {"rows": 200_000}
    assert deployed.sql("SELECT count() AS c FROM seen") == [{"c": 200_000}]
