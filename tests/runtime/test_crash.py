"""Processes that are killed while they write; what they acknowledged has to be there, once."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunPython, python_environment

pytestmark = pytest.mark.slow

EVENTS = "SCHEMA >\n    id String,\n    n Int32\n\nENGINE_SORTING_KEY id\n"
SUMS = (
    "SCHEMA >\n    id String,\n    n SimpleAggregateFunction(sum, Int64)\n\n"
    "ENGINE AggregatingMergeTree\nENGINE_SORTING_KEY id\n"
)
VIEW = "NODE n\nSQL >\n    SELECT id, sum(n) AS n FROM events GROUP BY id\nTYPE materialized\nDATASOURCE sums\n"
FILES = {"events.datasource": EVENTS, "sums.datasource": SUMS, "sums_mv.pipe": VIEW}
CHANGED = {
    **FILES,
    "events.datasource": EVENTS.replace("Int32", "Int64"),
    "sums_mv.pipe": VIEW.replace("(n)", "(n * 2)"),
}

# Four threads send events one by one, each named after the round, and print a name when it is acknowledged. Half of
# them wait until they can read it.
WRITER = """
    import json, sys, threading
    from pathlib import Path
    from clickpipe.ingest import Lines
    from clickpipe.runtime import Instance

    with Instance(Path(sys.argv[1])) as instance:
        workspace, prefix = instance.default, sys.argv[2]
        workspace.deploy(json.loads(sys.argv[3]))

        def write(number):
            for turn in range(1_000_000):
                name = f"{prefix}-{number}-{turn}"
                lines = Lines.of([b'{"id":"%s","n":1}' % name.encode()])
                assert workspace.data.submit("events", lines, wait=number < 2).result().successful_rows == 1
                sys.stdout.write(name + "\\n")
                sys.stdout.flush()

        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
"""

# Deploys the files, says so before each step, and stops for good at the step whose name is given.
DEPLOYER = """
    import json, sys, time
    from pathlib import Path
    from clickpipe.runtime import Instance

    def progress(message):
        if message.startswith(sys.argv[3]):
            print(message, flush=True)
            time.sleep(600)

    with Instance(Path(sys.argv[1])) as instance:
        instance.default.deploy(json.loads(sys.argv[2]), progress=progress)
"""

STATE = """
    import json, sys
    from pathlib import Path
    from clickpipe.deploy import Tables
    from clickpipe.runtime import Instance

    with Instance(Path(sys.argv[1])) as instance:
        workspace = instance.default
        instance.jobs.wait_for_all(workspace.id)
        live = workspace.queries.live()
        found = {
            "events": [row["id"] for row in workspace.sql("SELECT id FROM events")],
            "sums": {row["id"]: row["n"] for row in workspace.sql("SELECT id, sum(n) AS n FROM sums GROUP BY id")},
            "live": live.deployment_id,
            "statuses": [d.status.value for d in instance.catalog.deployments(workspace.id)],
            "tidy": Tables(instance.engine, workspace.database).existing() == set(live.physical.objects),
            "left": [p.name for p in Path(sys.argv[1], "wal").rglob("*.*") if p.suffix != ".torn"],
        }
        if len(sys.argv) > 2:
            workspace.deploy(json.loads(sys.argv[2]))
            found["after"] = workspace.sql("SELECT sum(n) AS n FROM sums")[0]["n"]
        print(json.dumps(found))
"""


def state(run_python: RunPython, folder: Path, *more: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run_python(STATE, folder, *more).stdout)
    return found


def killed(code: str, *args: str | Path, wait: float = 0) -> list[str]:
    """Start a process, kill it some time after its first line of output; return the lines that it finished."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, args)]
    with subprocess.Popen(command, env=python_environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(wait)
        process.kill()
        rest = process.stdout.read()
    assert first.endswith("\n"), "the process ended before it printed anything"
    text = first + rest
    return text[: text.rindex("\n")].split("\n")


def test_what_was_acknowledged_survives_kills_once(run_python: RunPython, tmp_path: Path) -> None:
    kills = int(os.environ.get("CRASHES", "6"))  # `make crash-test` has more
    moments = random.Random(7)
    acknowledged: set[str] = set()
    for number in range(kills):
        acknowledged.update(killed(WRITER, tmp_path, f"r{number}", json.dumps(FILES), wait=moments.uniform(0, 0.7)))
    found = state(run_python, tmp_path)
    assert len(acknowledged) > kills
    assert len(found["events"]) == len(set(found["events"]))
    assert acknowledged <= set(found["events"])
    assert found["sums"] == dict.fromkeys(found["events"], 1)
    assert (found["live"], found["statuses"], found["tidy"], found["left"]) == (1, ["data_ready"], True, [])


# As WRITER, with a view that refuses every seventh row, and an engine that fails now and then, and for a while at once.
HOSTILE = """
    import json, random, sys, threading, time
    from pathlib import Path
    from clickpipe.diagnostics import ClickpipeError
    from clickpipe.engine import EngineError
    from clickpipe.ingest import Lines
    from clickpipe.runtime import Instance

    MEMORY = "Code: 241. DB::Exception: Memory limit exceeded. (MEMORY_LIMIT_EXCEEDED)"
    FULL = "Code: 75. DB::ErrnoException: Cannot write, errno: 28, strerror: No space left on device."

    with Instance(Path(sys.argv[1])) as instance:
        workspace, prefix = instance.default, sys.argv[2]
        workspace.deploy(json.loads(sys.argv[3]))
        execute, insert, chance, away = instance.engine.execute, instance.engine.insert, random.Random(prefix), [0.0]

        def fails():
            if chance.random() < 0.01:
                away[0] = time.monotonic() + chance.choice([0.05, 0.3])
            if time.monotonic() < away[0] or chance.random() < 0.05:
                raise EngineError(chance.choice([MEMORY, FULL]))

        def fail(sql, *given, **named):
            if sql.startswith(("INSERT INTO", "SELECT count", "TRUNCATE")):
                fails()
            return execute(sql, *given, **named)

        def fail_to_insert(*given):
            fails()
            insert(*given)

        instance.engine.execute, instance.engine.insert = fail, fail_to_insert

        def write(number):
            for turn in range(1_000_000):
                names = [f"{prefix}-{number}-{turn}-{row}" for row in range(3)]
                lines = [b'{"id":"%s","n":%d}' % (name.encode(), (turn + row) % 7) for row, name in enumerate(names)]
                try:
                    workspace.data.submit("events", Lines.of(lines), wait=number < 2).result()
                except ClickpipeError as error:
                    assert error.status in (422, 503), error.message
                    continue
                sys.stdout.write(" ".join(names) + "\\n")
                sys.stdout.flush()

        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
"""
FUSSY = {**FILES, "sums_mv.pipe": VIEW.replace("FROM events", "FROM events WHERE throwIf(events.n = 6) = 0")}
FUSSY["sums_mv.pipe"] = FUSSY["sums_mv.pipe"].replace("sum(n) AS n", "count() AS n")
FICKLE = {name: text.replace("events.n = 6", "rand(events.n) % 40 = 0") for name, text in FUSSY.items()}
QUARANTINED = """
    import json, sys
    from pathlib import Path
    from clickpipe.runtime import Instance

    with Instance(Path(sys.argv[1])) as instance:
        rows = instance.default.sql("SELECT id, n, c__error[1] AS why FROM events_quarantine")
        print(json.dumps([[row["id"], row["n"], row["why"]] for row in rows]))
"""


@pytest.mark.parametrize("files", [FUSSY, FICKLE], ids=["every seventh", "at random"])
def test_rows_that_a_view_refuses_and_an_engine_that_fails_under_kills(
    run_python: RunPython, tmp_path: Path, files: dict[str, str]
) -> None:
    kills = int(os.environ.get("CRASHES", "5"))
    moments = random.Random(18)
    acknowledged: set[str] = set()
    for number in range(kills):
        for told in killed(HOSTILE, tmp_path, f"r{number}", json.dumps(files), wait=moments.uniform(0.3, 1.5)):
            acknowledged.update(told.split(" "))
    found = state(run_python, tmp_path)
    refused = json.loads(run_python(QUARANTINED, tmp_path).stdout)
    events, quarantined = found["events"], [name for name, _, _ in refused]
    assert all((n == "6" or files is FICKLE) and "sums_mv refuses the row: " in why for _, n, why in refused)
    assert (len(set(events)), len(set(quarantined))) == (len(events), len(quarantined))
    assert set(events).isdisjoint(quarantined)
    assert len(acknowledged) > kills
    assert acknowledged <= {*events, *quarantined}
    assert quarantined or files is FICKLE
    assert found["sums"] == dict.fromkeys(events, 1)
    assert found["left"] == []


# Sends one event and stops for good before or behind a step of writing it; says when it is there.
STOPPED = """
    import json, sys, time
    from pathlib import Path
    from clickpipe.ingest import Lines, log, writer
    from clickpipe.runtime import Instance

    folder, files, owner, name, moment = sys.argv[1:]
    owner = {"Writer": writer.Writer, "Log": log.WriteAheadLog, "Segment": log.OpenSegment}[owner]
    step = getattr(owner, name)

    def stop(*given, **named):
        if moment == "behind":
            step(*given, **named)
        print("here", flush=True)
        time.sleep(600)

    with Instance(Path(folder)) as instance:
        workspace = instance.default
        workspace.deploy(json.loads(files))
        setattr(owner, name, stop)
        workspace.data.submit("events", Lines.of([b'{"id":"a","n":1}', b'{"id":"b","n":1}']))
        time.sleep(600)
"""


@pytest.mark.parametrize(
    ("owner", "step", "moment", "there"),
    [
        ("Segment", "append", "before", []),
        ("Segment", "append", "behind", ["a", "b"]),
        ("Writer", "insert", "before", ["a", "b"]),
        ("Writer", "_insert_live", "before", ["a", "b"]),
        ("Writer", "_insert_live", "behind", ["a", "b"]),
        ("Log", "remove", "before", ["a", "b"]),
        ("Log", "remove", "behind", ["a", "b"]),
    ],
)
def test_a_kill_between_two_steps_of_writing(
    run_python: RunPython, tmp_path: Path, owner: str, step: str, moment: str, there: list[str]
) -> None:
    killed(STOPPED, tmp_path, json.dumps(FILES), owner, step, moment)
    for _ in range(2):  # and what was brought back is not brought back again
        found = state(run_python, tmp_path)
        assert (sorted(found["events"]), found["sums"]) == (there, dict.fromkeys(there, 1))
        assert found["left"] == []


@pytest.mark.parametrize("step", ["copying", "filling"])
def test_a_deployment_goes_on_after_a_kill_while_it_fills_tables(
    run_python: RunPython, tmp_path: Path, step: str
) -> None:
    acknowledged = killed(WRITER, tmp_path, "e", json.dumps(FILES), wait=0.1)
    assert killed(DEPLOYER, tmp_path, json.dumps(CHANGED), step)[0].startswith(step)
    found = state(run_python, tmp_path)
    assert (found["live"], found["statuses"], found["tidy"]) == (2, ["deleted", "data_ready"], True)
    assert set(acknowledged) <= set(found["events"])
    assert found["sums"] == dict.fromkeys(found["events"], 2)


@pytest.mark.parametrize("step", ["creating sums_", "creating sums_mv"])
def test_a_kill_during_a_deployment_leaves_the_old_one_live(run_python: RunPython, tmp_path: Path, step: str) -> None:
    acknowledged = killed(WRITER, tmp_path, "e", json.dumps(FILES), wait=0.1)
    assert killed(DEPLOYER, tmp_path, json.dumps(CHANGED), step)[0].startswith(step)
    found = state(run_python, tmp_path, json.dumps(CHANGED))
    assert (found["live"], found["statuses"], found["tidy"]) == (1, ["data_ready", "failed"], True)
    assert set(acknowledged) <= set(found["events"])
    assert found["sums"] == dict.fromkeys(found["events"], 1)
    assert found["after"] == 2 * len(found["events"])


def test_a_kill_after_the_promotion_leaves_the_new_one_live(run_python: RunPython, tmp_path: Path) -> None:
    acknowledged = killed(WRITER, tmp_path, "e", json.dumps(FILES))
    assert killed(DEPLOYER, tmp_path, json.dumps(CHANGED), "removing")[0].startswith("removing")
    found = state(run_python, tmp_path)
    assert (found["live"], found["statuses"], found["tidy"]) == (2, ["deleted", "data_ready"], True)
    assert set(acknowledged) <= set(found["events"])
    assert found["sums"] == dict.fromkeys(found["events"], 2)
