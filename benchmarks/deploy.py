"""Deployments: planning a large project, filling a new table, the pause of a promotion; and a project's tests."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.events import ndjson
from benchmarks.generated_project import files
from benchmarks.serving import PROJECT
from clickpipe.compiler import compile_project
from clickpipe.deploy import Rows
from clickpipe.engine import scratch
from clickpipe.ingest import lines_of
from clickpipe.project import load_texts, read_folder
from clickpipe.runtime import Instance, Workspace

DATA_SOURCES, PIPES = 500, 1_000
ROWS = 1_000_000
TESTS = 100


def main() -> None:
    """Print seconds, rows a second, and ratios to the engine's own."""
    with tempfile.TemporaryDirectory(prefix="clickpipe-bench-") as folder:
        _project_tests(Path(folder) / "tests")
        with Instance(Path(folder) / "data") as instance:
            _backfill(instance, instance.default)
            large = instance.workspaces.create("large")
            _plan(instance, large)


def _plan(instance: Instance, workspace: Workspace) -> None:
    texts = files(DATA_SOURCES, PIPES)
    started = time.perf_counter()
    workspace.deploy(texts)
    first = time.perf_counter() - started
    name = next(n for n in texts if n.startswith("endpoints/"))
    changed = {**texts, name: texts[name].replace("SELECT", "SELECT 1 AS one,", 1)}
    started = time.perf_counter()
    plan = workspace.deployments.prepare(changed).plan
    one = time.perf_counter() - started
    started = time.perf_counter()
    with scratch(instance.engine) as checker:  # what a plan takes without what is known
        compile_project(load_texts(changed), checker)
    whole = time.perf_counter() - started
    print(
        f"{DATA_SOURCES} data sources, {PIPES} pipes: first deployment {first:.1f} s; "
        f"plan with one pipe changed {one:.2f} s ({len(plan.pipes.changed)} changed), "
        f"{one / whole:.2f} of compiling it all ({whole:.1f} s)",
        flush=True,
    )


def _backfill(instance: Instance, workspace: Workspace) -> None:
    texts, _ = read_folder(PROJECT)
    workspace.deploy(texts)
    for body in ndjson(ROWS):
        workspace.append("clickstream_events", [lines_of(body)])
    table = workspace.queries.live().physical.tables["clickstream_events"]
    file = next(n for n in texts if n.endswith("clickstream_events.datasource"))
    key = next(line for line in texts[file].splitlines() if line.startswith("ENGINE_SORTING_KEY"))
    changed = {**texts, file: texts[file].replace(key, "ENGINE_SORTING_KEY user_id, timestamp")}
    prepared = workspace.deployments.prepare(changed)
    ddl = next(o.ddl for step in prepared.plan.steps for o in step.create if step.resource == "clickstream_events")
    other = f"{table[:-1]}_bench`"
    instance.engine.execute(ddl.replace(ddl.split("(", 1)[0], f"CREATE TABLE {other} ", 1))
    started = time.perf_counter()
    instance.engine.execute(f"INSERT INTO {other} SELECT * FROM {table}")
    own = time.perf_counter() - started
    instance.engine.execute(f"DROP TABLE {other} SYNC")
    deployment = workspace.deployments.start(prepared)
    started = time.perf_counter()
    workspace.deployments.stage(deployment, prepared)
    staged = time.perf_counter() - started
    print(
        f"{ROWS:,} rows into a table with another sorting key: staged in {staged:.2f} s ({ROWS / staged:,.0f} rows/s); "
        f"the engine's own INSERT … SELECT {own:.2f} s, ratio {own / staged:.2f}",
        flush=True,
    )
    _pause(workspace, deployment.id)
    _preview(instance, workspace, own)
    _alter(
        workspace,
        {**changed, file: changed[file].replace("SCHEMA >\n", "SCHEMA >\n    tag String DEFAULT 'x',\n")},
        own,
    )


def _preview(instance: Instance, workspace: Workspace, own: float) -> None:
    """Time a preview of all rows."""
    started = time.perf_counter()
    made = instance.workspaces.preview(workspace, "preview", Rows.ALL)
    took = time.perf_counter() - started
    (rows,) = made.sql("SELECT count() AS c FROM clickstream_events")
    print(
        f"a preview with {rows['c']:,} rows: made in {took:.2f} s; "
        f"the engine's own INSERT … SELECT of them {own:.2f} s, ratio {own / took:.2f}",
        flush=True,
    )
    instance.workspaces.delete(made)


def _alter(workspace: Workspace, texts: Mapping[str, str], own: float) -> None:
    """Time a column that is added in place."""
    prepared = workspace.deployments.prepare(texts)
    (step,) = (step for step in prepared.plan.steps if step.resource == "clickstream_events")
    deployment = workspace.deployments.start(prepared)
    started = time.perf_counter()
    workspace.deployments.stage(deployment, prepared)
    staged = time.perf_counter() - started
    print(
        f"{step.category} of {step.rows:,} rows, a column more: staged in {staged:.2f} s; "
        f"the engine's own INSERT … SELECT of them {own:.2f} s, ratio {own / staged:.2f}",
        flush=True,
    )


def _pause(workspace: Workspace, number: int) -> None:
    stop, times, writes = threading.Event(), [], []

    def read() -> None:
        while not stop.is_set():
            started = time.perf_counter()
            workspace.sql("SELECT count() AS c FROM clickstream_events")
            times.append(time.perf_counter() - started)

    row = next(ndjson(1))

    def write() -> None:
        while not stop.is_set():
            started = time.perf_counter()
            workspace.data.submit("clickstream_events", lines_of(row)).result()
            writes.append(time.perf_counter() - started)

    threads = [threading.Thread(target=work) for work in (read, read, write)]
    for thread in threads:
        thread.start()
    time.sleep(2)
    quiet = max(times), max(writes)
    started = time.perf_counter()
    workspace.deployments.promote(number)
    took = time.perf_counter() - started
    time.sleep(1)
    stop.set()
    for thread in threads:
        thread.join()
    reader = f"{max(times) * 1000:.0f} ms at most ({quiet[0] * 1000:.0f} before, {_median(times)} median)"
    writer = f"{max(writes) * 1000:.0f} ms at most ({quiet[1] * 1000:.0f} before, {_median(writes)} median)"
    print(
        f"promotion under two readers and a writer: {took * 1000:.0f} ms; a reader waited {reader}, a writer {writer}"
    )


def _median(times: list[float]) -> str:
    return f"{statistics.median(times) * 1000:.0f}"


def _project_tests(folder: Path) -> None:
    """Time `clickpipe test` of a project with many tests, as a user runs it."""
    for kind in ("datasources", "pipes", "fixtures"):
        (folder / kind).mkdir(parents=True)
        for path in (PROJECT / kind).iterdir():
            (folder / kind / path.name).write_bytes(path.read_bytes())
    (folder / "tests").mkdir()
    tests = "".join(
        f"- name: t{k}\n  parameters: start_date=2022-01-01 00:00:00&end_date=2022-12-{1 + k % 28:02d} 00:00:00\n"
        "  expected_result: ''\n"
        for k in range(TESTS)
    )
    (folder / "tests" / "get_popular_pages.yaml").write_text(tests, encoding="utf-8")
    command = [sys.executable, "-m", "clickpipe", "test", "--project", str(folder)]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(
        f"clickpipe test, {TESTS} tests: {time.perf_counter() - started:.1f} s: {done.stdout.splitlines()[-1]}",
        flush=True,
    )
