"""A disk that fills and empties, and an engine that is away, under kill -9: what was acknowledged is there, once."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunPython, python_environment
from tests.runtime.test_crash import EVENTS, FUSSY, QUARANTINED, state

pytestmark = pytest.mark.slow

LONG = "CRASHES" in os.environ  # `make crash-test`
COPY = "NODE n\nSQL >\n    SELECT id, n FROM events\nTYPE copy\nTARGET_DATASOURCE copied\nCOPY_MODE replace\n"
FILES = {**FUSSY, "copied.datasource": EVENTS, "copied_cp.pipe": COPY}
CHANGED = {**FILES, "more.datasource": EVENTS}

# Four threads send three events at a time and print their names when they are acknowledged; two of them wait until they
# can be read. The view refuses every seventh row. Beside them copies and deployments are tried without end. From
# `away` seconds after the start on no insert reaches the engine, for as many seconds as the last argument says; what
# that held up is in soon after, which is printed.
WRITER = """
    import itertools, json, os, sys, threading, time
    from contextlib import suppress
    from pathlib import Path
    from clickpipe.diagnostics import ClickpipeError
    from clickpipe.engine import EngineError
    from clickpipe.ingest import Lines
    from clickpipe.runtime import Instance

    folder, prefix, files, changed, away = sys.argv[1:]
    GONE = "Code: 210. DB::NetException: Connection refused (engine:9000). (NETWORK_ERROR)"

    def say(text):
        os.write(1, f"{text}\\n".encode())

    with Instance(Path(folder)) as instance:
        workspace = instance.default
        workspace.deploy(json.loads(files), allow_destructive=True)
        say("up")
        execute, insert = instance.engine.execute, instance.engine.insert
        started, rows = time.monotonic(), itertools.count()

        def fails(sql):
            if sql.startswith("INSERT INTO `ws_") and 0.5 < time.monotonic() - started < 0.5 + float(away):
                raise EngineError(GONE)

        def fail(sql, *given, **named):
            fails(sql)
            return execute(sql, *given, **named)

        def fail_to_insert(table, *given):
            fails(f"INSERT INTO {table}")
            insert(table, *given)

        if float(away):
            instance.engine.execute, instance.engine.insert = fail, fail_to_insert

        def write(number):
            for turn in range(1_000_000):
                names = [f"{prefix}-{number}-{turn}-{row}" for row in range(3)]
                filler = os.urandom(8000).hex() if number == 3 and not float(away) else ""
                lines = [b'{"id":"%s","n":%d,"filler":"%s"}' % (name.encode(), next(rows) % 7, filler.encode())
                         for name in names]
                try:
                    workspace.data.submit("events", Lines.of(lines), wait=number < 2).result()
                except ClickpipeError as error:
                    if error.status not in (422, 503):
                        say(f"!{error.status} {error.message}")
                    if error.status == 503:
                        time.sleep(0.05)
                    continue
                say(" ".join(names))
                time.sleep(0.02 if float(away) else 0.005)

        def work():
            for turn in itertools.count():
                with suppress(ClickpipeError, EngineError, OSError):
                    workspace.copies.start("copied_cp", {})
                time.sleep(0.3)
                with suppress(ClickpipeError, EngineError, OSError):
                    workspace.deploy(json.loads(changed if turn % 2 else files), allow_destructive=True)

        for number in range(4):
            threading.Thread(target=write, args=(number,), daemon=True).start()
        if not float(away):
            threading.Thread(target=work, daemon=True).start()
            time.sleep(600)
        time.sleep(float(away) + 1)
        until = time.monotonic() + 40
        while instance.ingester.failing():
            if time.monotonic() > until:
                say(f"!still failing: {instance.ingester.failing()}")
            time.sleep(0.1)
        say("in again")
        time.sleep(600)
"""

# After a start with space: no job goes on for ever, and a deployment succeeds.
AFTER = """
    import json, sys, time
    from pathlib import Path
    from clickpipe.runtime import Instance

    with Instance(Path(sys.argv[1])) as instance:
        workspace = instance.default
        instance.jobs.wait_for_all(workspace.id)
        workspace.deploy(json.loads(sys.argv[2]), allow_destructive=True)
        left = sorted({job.status for job in instance.catalog.jobs.newest(workspace.id)})
        print(json.dumps({"jobs": left, "failing": instance.ingester.failing()}))
"""


def run(folder: Path, told: Path, prefix: str, away: float) -> subprocess.Popen[bytes]:
    """Start a writer that prints to a file; return when it is up."""
    arguments = str(folder), prefix, json.dumps(FILES), json.dumps(CHANGED), str(away)
    with told.open("wb") as output, told.with_suffix(".errors").open("ab") as errors:
        command = [sys.executable, "-c", textwrap.dedent(WRITER), *arguments]
        process = subprocess.Popen(command, env=python_environment(), stdout=output, stderr=errors)
    wait_for(process, told, "up", 60)
    return process


def wait_for(process: subprocess.Popen[bytes], told: Path, word: str, seconds: float) -> None:
    until = time.monotonic() + seconds
    while f"{word}\n" not in told.read_text():
        assert process.poll() is None, told.with_suffix(".errors").read_text()[-3000:]
        assert time.monotonic() < until, f"'{word}' was not told within {seconds} s"
        time.sleep(0.02)


def names(told: Path) -> set[str]:
    """Return the names that were acknowledged."""
    lines = told.read_text().split("\n")[:-1]
    assert not [line for line in lines if line.startswith("!")]
    return {name for line in lines if line not in {"up", "in again"} for name in line.split(" ")}


def check(run_python: RunPython, folder: Path, acknowledged: set[str]) -> None:
    found = state(run_python, folder)
    refused: list[list[str]] = json.loads(run_python(QUARANTINED, folder).stdout)
    events, quarantined = found["events"], [name for name, _, _ in refused]
    assert all(n == "6" and "sums_mv refuses the row: " in why for _, n, why in refused)
    assert (len(set(events)), len(set(quarantined))) == (len(events), len(quarantined))
    assert set(events).isdisjoint(quarantined)
    assert acknowledged <= {*events, *quarantined}, "acknowledged rows are lost"
    assert found["sums"] == dict.fromkeys(events, 1)
    assert found["left"] == []
    after: dict[str, Any] = json.loads(run_python(AFTER, folder, json.dumps(CHANGED)).stdout)
    assert set(after["jobs"]) <= {"done", "error", "cancelled"}
    assert after["failing"] == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own in memory, where mounting is allowed."""
    place = tmp_path / "disk"
    place.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if mount is None or umount is None:
        pytest.skip("a small disk cannot be mounted here: there is no mount")
    command = [mount, "-t", "tmpfs", "-o", "size=300m", "tmpfs", str(place)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {made.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run([umount, "-l", str(place)], check=True)


def fill(place: Path) -> None:
    """Leave no byte free."""
    with (place / "filler").open("ab", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 20, 1 << 16, 4096):
            with contextlib.suppress(OSError):
                while file.write(b"x" * size) == size:
                    pass


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_a_disk_that_is_full_for_seconds(run_python: RunPython, tmp_path: Path, small_disk: Path) -> None:
    folder, moments = small_disk / "data", random.Random(28)
    acknowledged: set[str] = set()
    for number in range(int(os.environ.get("CRASHES", "3"))):
        told = tmp_path / f"r{number}.txt"
        process = run(folder, told, f"r{number}", 0)
        try:
            time.sleep(moments.uniform(0.2, 1))
            fill(small_disk)
            time.sleep(moments.uniform(1, 4))  # more is written, and files go: full again
            fill(small_disk)
            if number % 2:
                time.sleep(moments.uniform(0, 2))
            else:
                (small_disk / "filler").unlink()
                time.sleep(moments.uniform(0, 3))
        finally:
            process.kill()
            process.wait()
            (small_disk / "filler").unlink(missing_ok=True)
        acknowledged |= names(told)
    assert len(acknowledged) > 100
    shutil.copytree(folder, tmp_path / "before")  # what is on the small disk goes with it
    check(run_python, folder, acknowledged)
    shutil.rmtree(tmp_path / "before")


def test_an_engine_that_is_away(run_python: RunPython, tmp_path: Path) -> None:
    away = 60.0 if LONG else 3.0
    moments, acknowledged = random.Random(60), set[str]()
    for number in range(3 if LONG else 2):
        told = tmp_path / f"r{number}.txt"
        process = run(tmp_path / "data", told, f"r{number}", away)
        try:
            if number == 0:
                time.sleep(0.5 + moments.uniform(0.5, away - 0.5))
            else:
                wait_for(process, told, "in again", away + 60)
        finally:
            process.kill()
            process.wait()
        acknowledged |= names(told)
    assert len(acknowledged) > 100
    check(run_python, tmp_path / "data", acknowledged)
