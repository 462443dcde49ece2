"""A workspace whose views take for ever holds neither the server's start, nor its end, nor others' schedules."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from clickpipe.runtime import Instance

ROWS, ROW_SECONDS = 12, 1.0  # rows of a view, and about how long it takes for one on a usual machine
SCRIPT = """
import json, os, sys, time
from pathlib import Path
from clickpipe.ingest import Lines, bounded
from clickpipe.runtime import Instance

bounded._START_SECONDS = bounded._END_SECONDS = 1.0
EVENTS = "SCHEMA >\\n    k String `json:$.k`\\n\\nENGINE MergeTree\\nENGINE_SORTING_KEY k\\n"
TARGET = "SCHEMA >\\n    k String,\\n    v Int64\\n\\nENGINE MergeTree\\nENGINE_SORTING_KEY k\\n"
VIEW = (
    "NODE n\\nSQL >\\n    SELECT k, toInt64(editDistance(repeat(concat(k, 'a'), 13000), "
    "repeat(concat('b', k), 13000))) AS v FROM events\\nTYPE materialized\\nDATASOURCE slow\\n"
)
SLOW = {"events.datasource": EVENTS, "slow.datasource": TARGET, "view.pipe": VIEW}


def counts(workspace):
    return {name: found[0] for name, found in workspace.row_counts().items()}


def lines(count):
    return Lines.of(json.dumps({"k": "a"}).encode() for _ in range(count))


def main(step, folder, rows):
    began = time.monotonic()
    with Instance(Path(folder)) as instance:
        told = {"start": time.monotonic() - began}
        if step == "first":
            slow, other = instance.workspaces.create("bolt"), instance.workspaces.create("acme")
            slow.deploy(SLOW)
            other.deploy({"events.datasource": EVENTS})
            slow.data.submit("events", lines(int(rows)), wait=False).result(60)
            other.data.submit("events", lines(7), wait=False).result(60)
            time.sleep(2.5)  # the insert has begun
        slow, other = instance.workspaces.named("bolt"), instance.workspaces.named("acme")
        began = time.monotonic()
        other.append("events", [lines(1)])
        told |= {"append": time.monotonic() - began, "other": counts(other)["events"]}
        while step == "last" and counts(slow)["slow"] < int(rows):
            time.sleep(0.2)
        told |= {"slow": counts(slow)}
        began = time.monotonic()
    told |= {"end": time.monotonic() - began}
    print(json.dumps(told))
    sys.stdout.flush()
    os._exit(0)


main(*sys.argv[1:])
"""


def run(step: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-c", SCRIPT, step, str(folder), str(ROWS)]
    environment = {**os.environ, "XDG_CONFIG_HOME": str(folder.parent)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_neither_start_nor_end_waits_for_them_and_nothing_is_lost(tmp_path: Path) -> None:
    first = run("first", tmp_path / "data")
    assert first["other"] == 8
    assert first["end"] < ROWS * ROW_SECONDS / 2 + 4, first
    again = run("again", tmp_path / "data")
    assert again["other"] == 9
    for what in ("start", "append", "end"):
        assert again[what] < ROWS * ROW_SECONDS / 2 + 4, again
    last = run("last", tmp_path / "data")
    assert last["other"] == 10
    assert last["slow"] == {"events": ROWS, "events_quarantine": 0, "slow": ROWS, "slow_quarantine": 0}


def test_a_workspace_that_is_never_gone_holds_no_schedule(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends what it was removing when it can; all others are looked after meanwhile."""
    workspaces = instance.workspaces
    made = [workspaces.create(f"gone_{n}_{time.time_ns()}", seconds=0.01) for n in range(2)]
    go_on, asked = threading.Event(), list[str]()
    delete = workspaces.delete

    def slowly(workspace: object) -> None:
        asked.append(workspace.id)  # type: ignore[attr-defined]
        if workspace is made[0]:
            assert go_on.wait(30)
        delete(workspace)  # type: ignore[arg-type]

    monkeypatch.setattr(workspaces, "delete", slowly)
    time.sleep(0.02)
    began = time.monotonic()
    for _ in range(3):
        instance.maintenance.run()
    assert time.monotonic() - began < 25
    until = time.monotonic() + 60
    while workspaces.get(made[1].id) is not None:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert workspaces.get(made[0].id) is not None
    go_on.set()
    while workspaces.get(made[0].id) is not None:
        assert time.monotonic() < until + 10
        time.sleep(0.01)
    assert asked.count(made[0].id) == 1
