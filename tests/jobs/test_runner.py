from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from clickpipe.catalog import Job
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import EngineError, workers
from clickpipe.ingest import Replacing
from clickpipe.jobs import JobCancelled, JobRunner, Report, report
from clickpipe.runtime import Instance, Upload, Workspace
from tests.jobs.conftest import state


@pytest.fixture
def runner(instance: Instance) -> Iterator[JobRunner]:
    made = JobRunner(instance.catalog, workers=1)
    yield made
    made.close()


@pytest.fixture
def run(instance: Instance, deployed: Workspace, runner: JobRunner) -> Callable[[Callable[[], Any]], Job]:
    def run_job(work: Callable[[], Mapping[str, Any]]) -> Job:
        job = runner.submit(deployed.id, "test", "thing", lambda _: work())
        runner.wait(job.id)
        return state(instance, job)

    return run_job


def fail(error: Exception) -> Callable[[], Mapping[str, Any]]:
    def work() -> Mapping[str, Any]:
        raise error

    return work


def test_a_job_waits_works_and_is_done(instance: Instance, deployed: Workspace, runner: JobRunner) -> None:
    started, go_on = threading.Event(), threading.Event()

    def work() -> dict[str, int]:
        started.set()
        go_on.wait()
        return {"rows": 3}

    first = runner.submit(deployed.id, "copy", "one", lambda _: work())
    second = runner.submit(deployed.id, "copy", "two", lambda _: {})  # there is one worker
    started.wait()
    assert [state(instance, job).status for job in (first, second)] == ["working", "waiting"]
    runner.wait(second.id, timeout=0)
    go_on.set()
    runner.wait(first.id)
    runner.wait(second.id)
    runner.wait("nothing")
    assert [state(instance, job).status for job in (first, second)] == ["done", "done"]
    assert state(instance, first).result == {"rows": 3}
    assert state(instance, second).result == {}
    assert runner._running == {}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ClickpipeError("The copy mode is odd"), "The copy mode is odd"),
        (EngineError("Code: 60. DB::Exception: Unknown table. (UNKNOWN_TABLE) (version 26.9)"), "Unknown table."),
    ],
)
def test_a_mistake_is_told_in_words(run: Callable[[Any], Job], error: Exception, text: str) -> None:
    job = run(fail(error))
    assert (job.status, job.error, job.result) == ("error", text, {})


def test_an_internal_error_goes_to_the_log_and_leaks_nothing(
    run: Callable[[Any], Job], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        job = run(fail(RuntimeError("password is hunter2")))
    assert (job.status, job.error) == ("error", "internal error, see the server's log")
    assert "hunter2" in caplog.text
    assert run(dict).status == "done"  # the runner goes on


def test_jobs_of_a_server_that_stopped_have_failed(instance: Instance, deployed: Workspace) -> None:
    job = instance.catalog.jobs.create(deployed.id, "copy", "thing")
    JobRunner(instance.catalog).close()
    found = state(instance, job)
    assert found.status == "error"
    assert found.error


def test_a_job_that_waits_is_cancelled_at_once(instance: Instance, deployed: Workspace, runner: JobRunner) -> None:
    started, go_on = threading.Event(), threading.Event()

    def work(_: Report) -> dict[str, int]:
        started.set()
        go_on.wait()
        return {}

    first = runner.submit(deployed.id, "copy", "one", work)
    second = runner.submit(deployed.id, "copy", "two", work)
    started.wait()
    assert runner.is_running(deployed.id, "copy", "two")
    runner.cancel(second)
    assert state(instance, second).status == "cancelled"
    assert not runner.is_running(deployed.id, "copy", "two")
    go_on.set()
    runner.wait(first.id)
    for job in (first, second):
        with pytest.raises(ClickpipeError, match="The job has ended: it is '") as caught:
            runner.cancel(state(instance, job))
        assert caught.value.status == 409


def test_work_ends_where_it_reports(instance: Instance, deployed: Workspace, runner: JobRunner) -> None:
    reported, go_on = threading.Event(), threading.Event()

    def work(report: Report) -> dict[str, int]:
        report({"rows": 1})
        reported.set()
        go_on.wait()
        report({"rows": 2})
        raise AssertionError

    job = runner.submit(deployed.id, "import", "thing", work)
    reported.wait()
    runner.cancel(job)
    assert state(instance, job).status == "cancelling"
    go_on.set()
    runner.wait(job.id)
    assert (state(instance, job).status, state(instance, job).result) == ("cancelled", {"rows": 1})


def test_what_can_be_stopped_is_until_it_ends(instance: Instance, deployed: Workspace, runner: JobRunner) -> None:
    inside, stopped = threading.Event(), threading.Semaphore(0)

    def work(report: Report) -> dict[str, int]:
        with report.stoppable(stopped.release):
            inside.set()
            assert stopped.acquire(timeout=60)  # the first time it was too early, say
            assert stopped.acquire(timeout=60)
        report.check()
        raise AssertionError

    job = runner.submit(deployed.id, "copy", "thing", work)
    inside.wait()
    runner.cancel(job)
    runner.wait(job.id)
    assert state(instance, job).status == "cancelled"
    report = Report()
    report.cancel()
    with pytest.raises(JobCancelled), report.stoppable(lambda: None):
        pytest.fail("it began")


_ENDLESS = "id < 3 OR id IN (SELECT number FROM endless)"
_PIPE = "NODE n\nSQL >\n    SELECT number FROM numbers(1000000000000) WHERE sipHash64(number) = 1\nTYPE endpoint\n"
_RUNNING = (
    "SELECT count() FROM system.processes WHERE query LIKE '%sipHash64(number) = 1%' AND query NOT LIKE '%proces%'"
)


@pytest.mark.parametrize("rows", [0, 10])
@pytest.mark.parametrize("kind", ["delete", "replace"])
def test_a_condition_without_end_can_be_cancelled(
    instance: Instance, workspace: Workspace, tmp_path: Path, kind: str, rows: int
) -> None:
    """Events wait for it. The set of a sub-query is built before a row is read, also for a table without rows."""
    workspace.deploy({"e.datasource": "SCHEMA >\n    id UInt64\n\nENGINE_SORTING_KEY id\n", "endless.pipe": _PIPE})
    workspace.ingest("e", [{"id": n} for n in range(rows)])
    if kind == "delete":
        job = workspace.data.delete_job("e", _ENDLESS)
    else:
        file = tmp_path / "new.ndjson"
        file.write_text('{"id": 1}\n')
        job = workspace.data.import_file(Upload("e", file, "ndjson", replacing=Replacing(_ENDLESS)), mode="replace")
    until = time.monotonic() + 20
    while instance.engine.execute(_RUNNING, output="TSV").body == b"0\n":
        assert time.monotonic() < until
        time.sleep(0.01)
    instance.jobs.cancel(state(instance, job))
    instance.jobs.wait(job.id, 20)
    assert (state(instance, job).status, state(instance, job).error) == ("cancelled", "")
    assert workspace.ingest("e", [{"id": 99}]).readable
    assert workspace.sql("SELECT count() AS c FROM e") == [{"c": rows + 1}]
    deleted = workspace.data.delete_job("e", "id = 99")
    instance.jobs.wait(deleted.id, 20)
    assert state(instance, deleted).status == "done"


@pytest.fixture
def hanging(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Statements with `hang` in them go on until the event is set, whatever ends them."""
    go_on, query = threading.Event(), instance.engine._query  # type: ignore[attr-defined]

    def hang(sql: str, *more: Any) -> Any:
        if "hang" in sql and "KILL" not in sql:
            go_on.wait()
        return query(sql, *more)

    monkeypatch.setattr(instance.engine, "_query", hang)
    monkeypatch.setattr(workers, "_MOMENT", 0.2)
    yield go_on
    go_on.set()
    while instance.engine.stuck():
        time.sleep(0.01)


@pytest.mark.usefixtures("hanging")
def test_a_deployment_whose_statement_hangs_is_cancelled_and_undone(
    instance: Instance, deployed: Workspace, runner: JobRunner
) -> None:
    undone: list[bytes] = []
    started = threading.Event()

    def work(_: Report) -> dict[str, Any]:
        started.set()
        try:
            instance.engine.execute("SELECT 'hang'")
        finally:
            undone.append(instance.engine.execute("SELECT 1", output="TSV").body)
        return {}

    job = runner.submit(deployed.id, "deployment", "1", work)
    started.wait()
    runner.cancel(job)
    runner.wait(job.id, 20)
    assert state(instance, job).status == "cancelled"
    assert undone == [b"1\n"]  # what undoes it is not ended
    assert len(instance.engine.stuck()) == 1
    later = runner.submit(deployed.id, "deployment", "2", lambda _: {"rows": 1})
    runner.wait(later.id, 20)
    assert state(instance, later).status == "done"


@pytest.mark.usefixtures("hanging")
@pytest.mark.parametrize("kind", ["deployment", "copy", "populateview"])
def test_a_statement_that_hangs_does_not_keep_the_server_from_stopping(
    instance: Instance, deployed: Workspace, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(report, "PATIENCE", 0.2)
    runner, started = JobRunner(instance.catalog, workers=1), threading.Event()

    def work(_: Report) -> dict[str, Any]:
        started.set()
        instance.engine.execute("SELECT 'hang'")
        return {}

    runner.submit(deployed.id, kind, "1", work)
    started.wait()
    began = time.monotonic()
    runner.close()
    assert time.monotonic() - began < 10


def test_jobs_of_one_kind_keep_no_others_waiting(instance: Instance, deployed: Workspace) -> None:
    runner = JobRunner(instance.catalog, workers=1)
    going, through = threading.Event(), threading.Event()

    def hold(_: Report) -> Mapping[str, Any]:
        going.wait(120)
        return {}

    def pass_by(_: Report) -> Mapping[str, Any]:
        through.set()
        return {}

    try:
        runner.submit(deployed.id, "import", "a", hold)
        runner.submit(deployed.id, "import", "b", hold)
        runner.submit(deployed.id, "copy", "c", pass_by)
        assert through.wait(60)
    finally:
        going.set()
        runner.close()


def test_no_workspace_has_any_number_of_jobs_wait(
    instance: Instance, deployed: Workspace, runner: JobRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clickpipe.jobs.runner._MOST", 3)
    go_on = threading.Event()
    jobs = [runner.submit(deployed.id, "copy", "c", lambda _: {"ended": go_on.wait(60)}) for _ in range(3)]
    with pytest.raises(ClickpipeError, match="3 jobs of this kind run or wait") as refused:
        runner.submit(deployed.id, "copy", "c", lambda _: {})
    assert refused.value.status == 429
    runner.wait(runner.submit(deployed.id, "import", "c", lambda _: {}).id, 20)
    runner.wait(runner.submit(instance.default.id, "copy", "c", lambda _: {}).id, 20)
    go_on.set()
    for job in jobs:
        runner.wait(job.id, 20)
    runner.wait(runner.submit(deployed.id, "copy", "c", lambda _: {}).id, 20)
