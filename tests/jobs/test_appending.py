"""A copy that appends: all of its rows are there, with what views make of them, or none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clickpipe.engine import Engine, EngineError, QueryResult
from clickpipe.runtime import Instance, Workspace
from tests.conftest import RunPython, python_environment

ROWS = 300_000
FILES = {
    "kept.datasource": "SCHEMA >\n    id UInt64\nENGINE_SORTING_KEY id\n",
    "seen.datasource": "SCHEMA >\n    c UInt64\nENGINE_SORTING_KEY c\n",
    "seen_mv.pipe": "NODE n\nSQL >\n    SELECT count() AS c FROM kept WHERE throwIf(kept.id = 250001) = 0\n"
    "TYPE materialized\nDATASOURCE seen\n",
    "many.pipe": "NODE n\nSQL >\n    %\n    SELECT number AS id FROM numbers({{UInt64(rows, 10)}})\n"
    "TYPE copy\nTARGET_DATASOURCE kept\nCOPY_MODE append\n",
}
COUNTS = "SELECT (SELECT count() FROM kept) AS kept, sum(c) AS seen FROM seen"


@pytest.fixture
def deployed(instance: Instance) -> Iterator[Workspace]:
    made = instance.workspaces.create("appending")
    made.deploy(FILES)
    yield made
    instance.workspaces.delete(made)


def tables(engine: Engine, workspace: Workspace) -> list[str]:
    sql = f"SELECT name FROM system.tables WHERE database = '{workspace.database}' AND name LIKE '%copy%'"
    return engine.execute(sql, output="TSVRaw").body.decode().split()


def test_a_view_that_refuses_one_row_leaves_nothing(instance: Instance, deployed: Workspace) -> None:
    job = deployed.copy("many", {"rows": ROWS})
    instance.jobs.wait(job.id)
    ended = instance.catalog.jobs.get(deployed.id, job.id)
    assert ended is not None
    assert ended.status == "error"
    assert ended.error.startswith("Nothing was written: seen_mv refuses a row: Value passed to 'throwIf'")
    assert deployed.sql(COUNTS) == [{"kept": 0, "seen": 0}]
    assert tables(instance.engine, deployed) == []


def test_what_passes_is_waited_for(instance: Instance, deployed: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    execute, left = instance.engine.execute, [2]

    def fail(sql: str, *given: Any, **named: Any) -> QueryResult:
        if sql.startswith("INSERT INTO `ws_") and "SELECT * FROM" in sql and left[0]:
            left[0] -= 1
            raise EngineError("Code: 241. DB::Exception: no. (MEMORY_LIMIT_EXCEEDED)")
        return execute(sql, *given, **named)

    monkeypatch.setattr(instance.engine, "execute", fail)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    job = deployed.copy("many", {"rows": 1000})
    instance.jobs.wait(job.id)
    assert left == [0]
    assert deployed.sql(COUNTS) == [{"kept": 1000, "seen": 1000}]


# What the view judges by is taken away between its answer and the insert.
LOOKUP = {
    **FILES,
    "allowed.datasource": "SCHEMA >\n    id UInt64 `json:$.id`\nENGINE_SORTING_KEY id\n",
    "behind.datasource": "SCHEMA >\n    c UInt64\nENGINE_SORTING_KEY c\n",
    "seen_mv.pipe": FILES["seen_mv.pipe"].replace("kept.id = 250001", "kept.id NOT IN (SELECT id FROM allowed)"),
    "behind_mv.pipe": "NODE n\nSQL >\n    SELECT sum(c) AS c FROM seen\n"
    "    WHERE throwIf((SELECT count() FROM allowed) = 0) = 0\n"
    "TYPE materialized\nDATASOURCE behind\n",
}
ALL = COUNTS.replace(" AS seen", " AS seen, (SELECT sum(c) FROM behind) AS behind")


@pytest.fixture
def looking(instance: Instance) -> Iterator[Workspace]:
    made = instance.workspaces.create("looking")
    made.deploy(LOOKUP)
    made.ingest("allowed", [{"id": number} for number in range(10)])
    yield made
    instance.workspaces.delete(made)


@pytest.mark.parametrize("failures", [0, 3])
def test_a_view_that_took_the_rows_is_not_asked_again(
    instance: Instance, looking: Workspace, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    assert looking.live is not None
    execute, left = instance.engine.execute, [failures]
    allowed = looking.live.physical.tables["allowed"]

    def spied(sql: str, *given: Any, **named: Any) -> QueryResult:
        if sql.startswith("INSERT INTO `ws_") and "SELECT * FROM" in sql:
            execute(f"TRUNCATE TABLE {allowed}")
            if left[0] and "`seen_" in sql:
                left[0] -= 1
                raise EngineError("Code: 241. DB::Exception: no. (MEMORY_LIMIT_EXCEEDED)")
        return execute(sql, *given, **named)

    monkeypatch.setattr(instance.engine, "execute", spied)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    job = looking.copy("many", {"rows": 10})
    instance.jobs.wait(job.id)
    monkeypatch.undo()
    ended = instance.catalog.jobs.get(looking.id, job.id)
    assert ended is not None
    assert (ended.status, ended.told) == ("done", {"rows": 10})
    assert looking.sql(ALL) == [{"kept": 10, "seen": 10, "behind": 10}]
    assert (left, tables(instance.engine, looking)) == ([0], [])


def test_a_view_that_refuses_a_row_by_what_it_looks_up_leaves_nothing(instance: Instance, looking: Workspace) -> None:
    job = looking.copy("many", {"rows": 11})
    instance.jobs.wait(job.id)
    ended = instance.catalog.jobs.get(looking.id, job.id)
    assert ended is not None
    assert ended.error.startswith("Nothing was written: seen_mv refuses a row: Value passed to 'throwIf'")
    assert looking.sql(ALL) == [{"kept": 0, "seen": 0, "behind": 0}]
    assert tables(instance.engine, looking) == []


# Appends until it is killed, or says so where it stands between the views' consent and the first row.
COPIES = """
    import json, sys, time
    from pathlib import Path
    from clickpipe.jobs import copies
    from clickpipe.runtime import Instance

    with Instance(Path(sys.argv[1])) as instance:
        workspace = instance.default
        workspace.deploy(json.loads(sys.argv[2]))
        append = copies.append_rows

        def told(engine, *given, **named):
            print("appending", flush=True)
            if sys.argv[4] == "lookup":
                engine.execute(f"TRUNCATE TABLE {workspace.live.physical.tables['allowed']}")
            append(engine, *given, **named)
            time.sleep(float(sys.argv[3]))

        if sys.argv[4] == "lookup":
            rows = [{"id": number} for number in range(200_000)]
            workspace.ingest("allowed", rows)
        copies.append_rows = told
        workspace.copy("many", {"rows": 200_000})
        time.sleep(600)
"""
STATE = """
    import json, sys
    from pathlib import Path
    from clickpipe.runtime import Instance

    with Instance(Path(sys.argv[1])) as instance:
        workspace = instance.default
        instance.jobs.wait_for_all(workspace.id)
        (found,) = workspace.sql(sys.argv[2])
        found["left"] = [name for name in workspace.deployments._deployer._tables.existing() if "_copy_" in name]
        found["jobs"] = [job.status for job in instance.catalog.jobs.newest(workspace.id) if job.kind == "copy"]
        print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "lookup"])
def test_a_copy_that_is_killed_while_it_appends_is_there_whole(
    run_python: RunPython, tmp_path: Path, kind: str
) -> None:
    files = LOOKUP if kind == "lookup" else FILES
    for number in range(int(os.environ.get("CRASHES", "6"))):
        folder = tmp_path / str(number)
        given = [str(folder), json.dumps(files), str(number % 2), kind]
        command = [sys.executable, "-c", textwrap.dedent(COPIES), *given]
        with subprocess.Popen(command, env=python_environment(), stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "appending\n"
            time.sleep(0.02 * number)
            process.kill()
        found = json.loads(run_python(STATE, folder, ALL if kind == "lookup" else COUNTS).stdout)
        behind = {"behind": 200_000} if kind == "lookup" else {}
        assert found == {"kept": 200_000, "seen": 200_000, **behind, "left": [], "jobs": ["done"]}
