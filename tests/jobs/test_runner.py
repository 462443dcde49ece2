from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from clickpipe.catalog import Job
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import EngineError
from clickpipe.jobs import CopySchedule, JobCancelled, JobRunner, Report
from clickpipe.runtime import Instance, Workspace

TARGET = "SCHEMA >\n    n Int32\n\nENGINE_SORTING_KEY n\n"
COPY = (
    "NODE n\nSQL >\n    SELECT toInt32(1) AS n\n"
    "TYPE copy\nTARGET_DATASOURCE ticks\nCOPY_MODE replace\nCOPY_SCHEDULE {}\n"
)
FILES = {
    "ticks.datasource": TARGET,
    "often.pipe": COPY.format("*/5 * 29 2 *"),
    "daily.pipe": COPY.format("0 3 29 2 *"),
    "asked.pipe": COPY.format("@on-demand"),
}
MIDNIGHT = datetime(2028, 2, 29, tzinfo=UTC)  # the instance has a schedule of its own, by the real clock


@pytest.fixture(scope="module")
def deployed(instance: Instance) -> Iterator[Workspace]:
    """One workspace for all: jobs have nothing to do with each other."""
    made = instance.workspaces.create("jobs")
    made.deploy(FILES)
    yield made
    instance.workspaces.delete(made)


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


def state(instance: Instance, job: Job) -> Job:
    found = instance.catalog.job(job.workspace_id, job.id)
    assert found is not None
    return found


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
    job = instance.catalog.create_job(deployed.id, "copy", "thing")
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
            assert stopped.acquire(timeout=10)  # the first time it was too early, say
            assert stopped.acquire(timeout=10)
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


def test_a_deployment_is_not_cancelled(deployed: Workspace, runner: JobRunner) -> None:
    go_on = threading.Event()
    job = runner.submit(deployed.id, "deployment", "1", lambda _: {"x": go_on.wait()})
    with pytest.raises(ClickpipeError, match="applied whole, or undone whole"):
        runner.cancel(job)
    go_on.set()


@pytest.fixture
def schedule(deployed: Workspace) -> CopySchedule:
    """Last called at midnight."""
    made = CopySchedule(lambda _workspace, name: deployed.copy(name), lambda: {deployed.id: deployed.queries.live()})
    made._last = MIDNIGHT
    return made


def due(schedule: CopySchedule, instance: Instance, until: datetime) -> list[str]:
    jobs = schedule.run_due(until)
    for job in jobs:
        instance.jobs.wait(job.id)
    return sorted(job.resource for job in jobs)


@pytest.mark.parametrize(("start", "tick"), [(0, 1.0), (0.25, 1.0), (0.999999, 1.0), (0, 60.0), (59.5, 60.0)])
def test_every_run_starts_once_whatever_the_ticks(
    schedule: CopySchedule, monkeypatch: pytest.MonkeyPatch, start: float, tick: float
) -> None:
    started: list[str] = []
    monkeypatch.setattr(schedule, "_start", lambda _workspace, name: started.append(name))
    at = schedule._last = MIDNIGHT + timedelta(minutes=4) + timedelta(seconds=start)
    while at < MIDNIGHT + timedelta(minutes=17):
        at += timedelta(seconds=tick)
        schedule.run_due(at)
    assert started == ["often"] * 3  # 00:05, 00:10 and 00:15


@pytest.mark.parametrize(
    ("hours", "minutes", "seconds", "names"),
    [
        (0, 4, 59.999999, []),
        (0, 5, 0, ["often"]),
        (2, 59, 59.999999, ["often"]),  # one run, however many were missed
        (3, 0, 0, ["daily", "often"]),
    ],
)
def test_what_was_due_since_the_last_call_runs_at_its_minute(
    schedule: CopySchedule, instance: Instance, hours: int, minutes: int, seconds: float, names: list[str]
) -> None:
    until = MIDNIGHT + timedelta(hours=hours, minutes=minutes, seconds=seconds)
    assert due(schedule, instance, until) == names
    assert due(schedule, instance, until) == []
    assert due(schedule, instance, until - timedelta(minutes=59)) == []  # the clock was set back
    assert due(schedule, instance, until) == []


def test_a_clock_that_was_a_day_ahead_stops_no_schedule(schedule: CopySchedule, instance: Instance) -> None:
    assert due(schedule, instance, MIDNIGHT + timedelta(days=1)) == ["daily", "often"]
    assert due(schedule, instance, MIDNIGHT + timedelta(minutes=1)) == []
    assert due(schedule, instance, MIDNIGHT + timedelta(minutes=5)) == ["often"]


def test_a_copy_that_cannot_be_started_or_never_comes_stops_no_other(
    schedule: CopySchedule, instance: Instance, deployed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, live = schedule._start, deployed.queries.live()
    often = live.compiled.copies["often"]
    copies = {"never": replace(often, name="never", schedule="0 0 30 2 *"), **live.compiled.copies}
    changed = replace(live, compiled=replace(live.compiled, copies=copies))

    def fail(workspace: str, name: str) -> Job | None:
        if name == "daily":
            raise RuntimeError(name)
        return start(workspace, name)

    monkeypatch.setattr(schedule, "_start", fail)
    monkeypatch.setattr(schedule, "_live", lambda: {deployed.id: changed})
    assert due(schedule, instance, MIDNIGHT + timedelta(hours=3)) == ["often"]


def test_a_scheduled_copy_writes_and_is_a_job(instance: Instance, deployed: Workspace, schedule: CopySchedule) -> None:
    (job,) = schedule.run_due(MIDNIGHT + timedelta(minutes=5))
    instance.jobs.wait(job.id)
    assert (state(instance, job).status, state(instance, job).result) == ("done", {"rows": 1})
    assert deployed.sql("SELECT count() AS c FROM ticks") == [{"c": 1}]


def test_a_paused_copy_and_one_that_still_runs_are_passed_over(
    instance: Instance, deployed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed.copies.pause("often", paused=True)
    assert deployed.copies.start_due("often") is None
    assert deployed.copies.paused() == {"often"}
    deployed.copies.pause("often", paused=False)
    go_on = threading.Event()
    monkeypatch.setattr(deployed.copies, "_run", lambda *_: {"rows": go_on.wait()})
    first = deployed.copies.start_due("often")
    assert first is not None
    assert deployed.copies.start_due("often") is None
    go_on.set()
    instance.jobs.wait(first.id)
    second = deployed.copies.start_due("often")
    assert second is not None
    instance.jobs.wait(second.id)
    with pytest.raises(ClickpipeError, match="has no schedule"):
        deployed.copies.pause("asked", paused=True)
    with pytest.raises(ClickpipeError, match="is not a copy pipe"):
        deployed.copies.pause("nothing", paused=True)


def test_the_clock_is_watched_until_close(deployed: Workspace) -> None:
    looked = threading.Event()

    def live() -> dict[str, Any]:
        looked.set()
        raise RuntimeError("stumble")  # is logged, the next tick comes

    watching = CopySchedule(lambda _workspace, name: deployed.copy(name), live, tick=0.001)
    watching.start()
    for _ in range(2):
        assert looked.wait(10)
        looked.clear()
    watching.close()
    watching.close()
    assert not watching._thread.is_alive()


@pytest.mark.parametrize(
    ("cron", "seconds", "runs"),
    [
        ("@hourly", 7200, 2),
        ("@daily", 7200, 0),
        ("*/15 * * * *", 3600, 4),
        ("*/15 * * * * 30", 3600, 4),  # the sixth field: seconds
        ("* * * * * */10", 60, 6),
    ],
)
def test_schedules_have_five_fields_or_six_or_a_name(cron: str, seconds: int, runs: int) -> None:
    copies = {"one": SimpleNamespace(name="one", schedule=cron)}
    live: Any = {"ws": SimpleNamespace(compiled=SimpleNamespace(copies=copies))}
    started: list[str] = []
    schedule = CopySchedule(lambda _, name: started.append(name), lambda: live)
    schedule._last = MIDNIGHT
    for second in range(1, seconds + 1):
        schedule.run_due(MIDNIGHT + timedelta(seconds=second))
    assert len(started) == runs


def test_jobs_of_one_kind_keep_no_others_waiting(instance: Instance, deployed: Workspace) -> None:
    runner = JobRunner(instance.catalog, workers=1)
    going, through = threading.Event(), threading.Event()

    def hold(_: Report) -> Mapping[str, Any]:
        going.wait(20)
        return {}

    def pass_by(_: Report) -> Mapping[str, Any]:
        through.set()
        return {}

    try:
        runner.submit(deployed.id, "import", "a", hold)
        runner.submit(deployed.id, "import", "b", hold)
        runner.submit(deployed.id, "copy", "c", pass_by)
        assert through.wait(10)
    finally:
        going.set()
        runner.close()
