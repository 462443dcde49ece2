"""Copies on a schedule: each run once, at its minute."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from clickpipe.catalog import Job
from clickpipe.diagnostics import ClickpipeError
from clickpipe.jobs import CopySchedule
from clickpipe.runtime import Instance, Workspace
from tests.jobs.conftest import state

MIDNIGHT = datetime(2028, 2, 29, tzinfo=UTC)  # the instance has a schedule of its own, by the real clock


class Copies:
    """The scheduled copies of made-up workspaces, or of one that a test deploys."""

    def __init__(self, start: Callable[[str, str], Any], live: Callable[[], Any]) -> None:
        self._start, self._live = start, live

    def scheduled(self) -> Any:
        return self._live()

    def start_due(self, workspace_id: str, name: str) -> Any:
        return self._start(workspace_id, name)


@pytest.fixture
def schedule(deployed: Workspace) -> CopySchedule:
    """Last called at midnight."""
    made = CopySchedule(
        Copies(lambda _workspace, name: deployed.copy(name), lambda: {deployed.id: deployed.queries.live()})
    )
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
    monkeypatch.setattr(schedule._copies, "start_due", lambda _workspace, name: started.append(name))
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
    start, live = schedule._copies.start_due, deployed.queries.live()
    often = live.compiled.copies["often"]
    copies = {"never": replace(often, name="never", schedule="0 0 30 2 *"), **live.compiled.copies}
    changed = replace(live, compiled=replace(live.compiled, copies=copies))

    def fail(workspace: str, name: str) -> Job | None:
        if name == "daily":
            raise RuntimeError(name)
        return start(workspace, name)

    monkeypatch.setattr(schedule._copies, "start_due", fail)
    monkeypatch.setattr(schedule._copies, "scheduled", lambda: {deployed.id: changed})
    assert due(schedule, instance, MIDNIGHT + timedelta(hours=3)) == ["often"]


def test_a_scheduled_copy_writes_and_is_a_job(instance: Instance, deployed: Workspace, schedule: CopySchedule) -> None:
    (job,) = schedule.run_due(MIDNIGHT + timedelta(minutes=5))
    instance.jobs.wait(job.id)
    assert (state(instance, job).status, state(instance, job).result) == ("done", {"rows": 1})
    assert deployed.sql("SELECT count() AS c FROM ticks") == [{"c": 1}]


@pytest.mark.parametrize(
    ("select", "mode", "reason"),
    [
        ("throwIf(number = 0, 'no data today') + 1", "replace", "no data today"),
        ("throwIf(number = 0, 'no data today') + 1", "append", "no data today"),
        ("toInt32(concat('x', toString(number)))", "append", "Cannot parse"),
    ],
)
def test_a_scheduled_copy_that_fails_is_in_the_log(
    instance: Instance, workspace: Workspace, caplog: pytest.LogCaptureFixture, select: str, mode: str, reason: str
) -> None:
    copy = (
        f"NODE n\nSQL >\n    SELECT toInt32({select}) AS n FROM numbers(3)\n"
        f"TYPE copy\nTARGET_DATASOURCE t\nCOPY_MODE {mode}\nCOPY_SCHEDULE */5 * 29 2 *\n"
    )
    workspace.deploy({"t.datasource": "SCHEMA >\n    n Int32\n\nENGINE_SORTING_KEY n\n", "nightly.pipe": copy})
    made = CopySchedule(Copies(lambda _, name: workspace.copy(name), lambda: {workspace.id: workspace.queries.live()}))
    made._last = MIDNIGHT
    with caplog.at_level("WARNING"):
        (job,) = made.run_due(MIDNIGHT + timedelta(minutes=5))
        instance.jobs.wait(job.id)
    (said,) = [record.getMessage() for record in caplog.records if job.id in record.getMessage()]
    assert said.startswith(f"job {job.id} (copy of nightly) failed: ")
    assert reason in said


def test_a_scheduled_copy_that_cannot_be_started_is_in_the_log(
    schedule: CopySchedule, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_workspace: str, _name: str) -> Job | None:
        message = "The deployment is read only."
        raise ClickpipeError(message)

    monkeypatch.setattr(schedule._copies, "start_due", refuse)
    with caplog.at_level("WARNING"):
        assert schedule.run_due(MIDNIGHT + timedelta(minutes=5)) == []
    assert [(r.getMessage(), r.exc_info) for r in caplog.records] == [
        ("'often' is due, and could not be started: The deployment is read only.", None)
    ]


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

    watching = CopySchedule(Copies(lambda _workspace, name: deployed.copy(name), live), tick=0.001)
    watching.start()
    for _ in range(2):
        assert looked.wait(60)
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
    live: Any = {"ws": SimpleNamespace(compiled=SimpleNamespace(copies=copies, sinks={}))}
    started: list[str] = []
    schedule = CopySchedule(Copies(lambda _, name: started.append(name), lambda: live))
    schedule._last = MIDNIGHT
    for second in range(1, seconds + 1):
        schedule.run_due(MIDNIGHT + timedelta(seconds=second))
    assert len(started) == runs


@pytest.mark.parametrize("day", [datetime(2028, 3, 26, tzinfo=UTC), datetime(2028, 10, 29, tzinfo=UTC)])
def test_days_of_23_and_25_hours_where_the_server_is_have_24_here(
    monkeypatch: pytest.MonkeyPatch, day: datetime
) -> None:
    """Schedules are in UTC: each run comes once, whatever the clocks on the walls do."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert day.astimezone().utcoffset() != (day + timedelta(days=1)).astimezone().utcoffset()
        named = {"nightly": "30 1 * * *", "later": "30 2 * * *", "hourly": "@hourly", "never": "0 0 30 2 *"}
        copies = {name: SimpleNamespace(name=name, schedule=cron) for name, cron in named.items()}
        live: Any = {"ws": SimpleNamespace(compiled=SimpleNamespace(copies=copies, sinks={}))}
        started: list[tuple[str, datetime]] = []
        at = day
        schedule = CopySchedule(Copies(lambda _, name: started.append((name, at)), lambda: live))
        schedule._last = day
        for minute in range(1, 24 * 60 + 1):
            at = day + timedelta(minutes=minute)
            schedule.run_due(at)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert [at for name, at in started if name == "nightly"] == [day + timedelta(hours=1.5)]
    assert [at for name, at in started if name == "later"] == [day + timedelta(hours=2.5)]
    assert [at for name, at in started if name == "hourly"] == [day + timedelta(hours=hour) for hour in range(1, 25)]
    assert not [at for name, at in started if name == "never"]
