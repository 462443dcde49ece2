"""A deletion that does not end holds no other workspace's, and nothing goes on with it: no thread, no restart."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clickpipe.catalog import Job
from clickpipe.diagnostics import ClickpipeError
from clickpipe.runtime import Instance, Workspace
from tests.conftest import RunPython

BIG = "SCHEMA >\n    p Int32,\n    s String\n\nENGINE_PARTITION_KEY p\nENGINE_SORTING_KEY p\n"
OTHER = "SCHEMA >\n    n UInt64\n\nENGINE_SORTING_KEY n\n"
ENDLESS = (
    "NODE n\nSQL >\n    SELECT number AS n FROM numbers(1000000000000000) WHERE sipHash64(number) = 1\nTYPE endpoint\n"
)
FILES = {
    "big.datasource": BIG,
    "other.datasource": OTHER,
    "endless.pipe": ENDLESS,
    "others.pipe": "NODE n\nSQL >\n    SELECT n FROM other\nTYPE endpoint\n",
}
SLOW = "ignore(sleepEachRow(3)) = 0"  # no caller's condition may say this
_LEFT = "SELECT count() FROM system.mutations WHERE NOT is_done AND startsWith(database, 'ws_')"
_TABLES = "SELECT count() FROM system.tables WHERE name LIKE '%\\_delete\\_%'"
_LONG = 60.0  # seconds that only a hang takes


def number(instance: Instance, sql: str) -> int:
    return int(instance.engine.execute(sql, output="TSV").body)


def wait_until(condition: Any) -> None:
    until = time.monotonic() + _LONG
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def two(instance: Instance) -> Iterator[tuple[Workspace, Workspace]]:
    made = instance.workspaces.create("endless"), instance.workspaces.create("victim")
    for workspace in made:
        workspace.deploy(FILES)
        workspace.ingest("big", [{"p": p, "s": "x"} for p in range(20)])
    yield made
    for workspace in made:
        instance.workspaces.delete(workspace)


def ended(instance: Instance, job: Job) -> Job:
    instance.jobs.wait(job.id, _LONG)
    found = instance.catalog.jobs.get(job.workspace_id, job.id)
    assert found is not None
    return found


def count(workspace: Workspace) -> int:
    return int(workspace.sql("SELECT count() AS c FROM big")[0]["c"])


def test_endless_sub_queries_never_reach_the_background(instance: Instance, two: tuple[Workspace, Workspace]) -> None:
    endless, victim = two
    jobs = [endless.data.delete_job("big", "p >= 0 OR p IN (SELECT n FROM endless)") for _ in range(6)]
    running = "SELECT count() FROM system.processes WHERE query LIKE 'INSERT%sipHash64(number) = 1%'"
    wait_until(lambda: number(instance, running))
    assert ended(instance, victim.data.delete_job("big", "p < 5")).status == "done"
    assert count(victim) == 15
    assert number(instance, _LEFT) == 0
    for job in reversed(jobs):
        instance.jobs.cancel(job)
    assert [(ended(instance, job).status, ended(instance, job).error) for job in jobs] == [("cancelled", "")] * 6
    assert count(endless) == 20
    assert number(instance, _TABLES) == 0


def _slow(monkeypatch: pytest.MonkeyPatch, workspace: Workspace) -> None:
    """Let the workspace's next deletions take 3 s for each row in the background, but not before."""
    deleter = workspace.data._deleter
    run = deleter._run

    def slow(name: str, target: str, condition: str, *more: Any) -> None:
        run(name, target, f"({condition}) AND {SLOW}", *more)

    monkeypatch.setattr(deleter, "_run", slow)


@pytest.mark.slow
def test_a_cancelled_deletion_ends_in_the_background(
    instance: Instance, two: tuple[Workspace, Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    endless, victim = two
    _slow(monkeypatch, endless)
    job = endless.data.delete_job("big", "1")
    wait_until(lambda: number(instance, _LEFT))
    instance.jobs.cancel(job)
    found = ended(instance, job)
    assert found.status == "cancelled"
    assert "some of the 20 rows may be deleted" in found.error
    assert number(instance, _LEFT) == 0
    assert ended(instance, victim.data.delete_job("big", "p < 5")).status == "done"
    monkeypatch.undo()
    assert ended(instance, endless.data.delete_job("big", "1")).status == "done"
    assert count(endless) == 0


@pytest.mark.slow
def test_a_deletion_beyond_the_time_limit_ends_and_says_so(
    instance: Instance, two: tuple[Workspace, Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    endless, _ = two
    monkeypatch.setattr(endless.data._deleter, "_seconds", 2.0)
    found = ended(instance, endless.data.delete_job("big", "p IN (SELECT n FROM endless)"))
    assert found.status == "error"
    assert "delete_max_seconds" in found.error
    assert "nothing was deleted" in found.error
    _slow(monkeypatch, endless)
    run: Any = endless.data._deleter._run
    monkeypatch.setattr(endless.data._deleter, "_seconds", 0.0)

    def limited(*what: Any) -> None:
        monkeypatch.setattr(endless.data._deleter, "_seconds", 2.0)
        run(*what[:-2], time.monotonic(), what[-1])

    monkeypatch.setattr(endless.data._deleter, "_run", limited)
    found = ended(instance, endless.data.delete_job("big", "1"))
    assert found.status == "error"
    assert "delete_max_seconds" in found.error
    assert "some of the 20 rows may be deleted" in found.error
    assert number(instance, _LEFT) == 0


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        ("p IN (SELECT n FROM other)", 17),
        ("p IN (SELECT n FROM others) AND p != 2", 18),
        ("p IN others", 17),
        ("p NOT IN ((SELECT n FROM other) UNION ALL (SELECT toUInt64(7)))", 4),
        ("p <= (SELECT max(n) FROM other) AND s = 'x'", 17),
        ("p > (SELECT max(n) FROM other WHERE n > 5)", 1),
        ("(p, s) IN (WITH 'x' AS x SELECT n, x FROM other WHERE n IN (SELECT 1))", 19),
        ("EXISTS (SELECT n, n FROM other) AND p < 1 /* (SELECT */", 19),
        ("p IN (SELECT NULL) OR p IN (1, 2) OR s = '(SELECT 1)'", 18),
        ("has((SELECT [] ), p) OR p = (SELECT 3)", 19),
    ],
)
def test_sub_queries_mean_what_they_meant(two: tuple[Workspace, Workspace], condition: str, left: int) -> None:
    workspace, _ = two
    workspace.ingest("other", [{"n": n} for n in range(3)])
    assert workspace.data.delete_rows("big", condition) == 20 - left
    assert count(workspace) == left


def test_a_sub_query_that_cannot_be_told_is_refused(two: tuple[Workspace, Workspace]) -> None:
    with pytest.raises(ClickpipeError, match="begin with SELECT or WITH"):
        two[0].data.delete_rows("big", "p IN (FROM other SELECT n)")
    assert count(two[0]) == 20


def test_an_owner_has_one_deletion_at_a_time(instance: Instance, two: tuple[Workspace, Workspace]) -> None:
    workspace, victim = two
    with workspace._services.deletion_turns.turn(workspace.id, lambda: None):
        job = workspace.data.delete_job("big", "1")
        assert ended(instance, victim.data.delete_job("big", "1")).status == "done"
        instance.jobs.cancel(job)
        assert ended(instance, job).status == "cancelled"
    assert count(workspace) == 20
    assert workspace.data.delete_rows("big", "1") == 20


KILLED = f"""
    import json, os, sys, time
    from pathlib import Path
    from clickpipe.runtime import Instance
    instance = Instance(Path(sys.argv[1]))
    workspace = instance.default
    workspace.deploy(json.loads(sys.argv[2]))
    workspace.ingest("big", [{{"p": p, "s": "x"}} for p in range(20)])
    table = workspace.deployments.live().physical.tables["big"]
    instance.engine.execute(f"ALTER TABLE {{table}} DELETE WHERE {SLOW}", settings={{"mutations_sync": 0}})
    while not int(instance.engine.execute("SELECT count() FROM system.merges WHERE is_mutation", output="TSV").body):
        time.sleep(0.01)
    os._exit(9)
"""
AGAIN = """
    import json, sys
    from pathlib import Path
    from clickpipe.runtime import Instance
    with Instance(Path(sys.argv[1])) as instance:
        left = instance.engine.execute("SELECT count() FROM system.mutations WHERE NOT is_done", output="TSV").body
        deleted = instance.default.data.delete_rows("big", "p = 19")
        print(json.dumps([int(left), deleted]))
"""


@pytest.mark.slow
def test_a_restart_does_not_go_on_with_a_deletion(run_python: RunPython, tmp_path: Path) -> None:
    run_python(KILLED, tmp_path, json.dumps(FILES), check=False)
    assert json.loads(run_python(AGAIN, tmp_path).stdout) == [0, 1]
