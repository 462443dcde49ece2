"""The job runner: work that takes long, in threads, recorded in the catalog; and the copy schedule."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from typing import Any

from croniter import croniter

from clickpipe.catalog import Catalog, Job, Live
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import EngineError

_LOGGER = logging.getLogger(__name__)

Report = Callable[[Mapping[str, Any]], None]
Work = Callable[[Report], Mapping[str, Any]]


class JobRunner:
    """Runs jobs of all workspaces, a few at once."""

    def __init__(self, catalog: Catalog, *, told: Callable[[Job], None] = lambda _: None, workers: int = 4) -> None:
        """Mark what an earlier server left unfinished as failed; `told` is told of jobs that begin and end."""
        self._told = told
        self._catalog = catalog
        catalog.fail_unfinished_jobs()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="jobs")
        self._running: dict[str, Future[None]] = {}
        self._owners: dict[str, str] = {}

    def submit(self, workspace: str, kind: str, resource: str, work: Work) -> Job:
        """Record a job and run it soon; its result is what `work` reports, and at last what it returns."""
        job = self._catalog.create_job(workspace, kind, resource)
        future = self._pool.submit(self._run, job, work)
        self._running[job.id] = future
        self._owners[job.id] = workspace
        future.add_done_callback(lambda _: self._forget(job.id))
        return job

    def _forget(self, job_id: str) -> None:
        self._running.pop(job_id, None)
        self._owners.pop(job_id, None)

    def wait_for_all(self, workspace: str) -> None:
        """Wait until no job of a workspace runs or waits."""
        for job_id, owner in list(self._owners.items()):
            if owner == workspace:
                self.wait(job_id)

    def wait(self, job_id: str, timeout: float | None = None) -> None:
        """Wait until a job has ended, or for `timeout` seconds."""
        future = self._running.get(job_id)
        if future is not None:
            wait([future], timeout)

    def _run(self, job: Job, work: Work) -> None:
        self._catalog.update_job(job.id, "working")
        self._tell(job)
        seen: Mapping[str, Any] = {}

        def report(result: Mapping[str, Any]) -> None:
            nonlocal seen
            seen = result
            self._catalog.update_job(job.id, "working", result=result)

        try:
            result = work(report)
        except (ClickpipeError, EngineError) as error:
            self._catalog.update_job(job.id, "error", error=str(error), result=seen)
        except Exception:
            _LOGGER.exception("job %s (%s of %s) failed", job.id, job.kind, job.resource)
            self._catalog.update_job(job.id, "error", error="internal error, see the server's log", result=seen)
        else:
            self._catalog.update_job(job.id, "done", result=result)
        finally:
            self._tell(job)

    def _tell(self, job: Job) -> None:
        now = self._catalog.job(job.workspace_id, job.id)
        if now is not None:
            self._told(now)

    def close(self) -> None:
        """Finish what runs, then stop."""
        self._pool.shutdown(wait=True, cancel_futures=True)


class CopySchedule:
    """Starts scheduled copies when they are due (cron, UTC). Runs missed while the server was down are not made up."""

    def __init__(
        self, start: Callable[[str, str], Job], live: Callable[[], Mapping[str, Live]], *, tick: float = 1.0
    ) -> None:
        """`start` starts a copy by workspace id and name; `live` gives what each workspace answers from."""
        self._start = start
        self._live = live
        self._tick = tick
        self._stop = threading.Event()
        self._last = datetime.now(UTC)
        self._thread = threading.Thread(target=self._loop, name="copy-schedule", daemon=True)

    def start(self) -> None:
        """Start watching the clock."""
        self._thread.start()

    def run_due(self, until: datetime) -> list[Job]:
        """Start every copy that was due after the last call and up to `until`."""
        if until <= self._last:
            return []  # the clock was set back: what was due up to then has run
        since, self._last = self._last, until
        return [
            self._start(workspace, copy.name)
            for workspace, live in self._live().items()
            for copy in live.compiled.copies.values()
            if copy.schedule and croniter(copy.schedule, since).get_next(datetime) <= until
        ]

    def _loop(self) -> None:
        while not self._stop.wait(self._tick):
            try:
                self.run_due(datetime.now(UTC))
            except Exception:
                _LOGGER.exception("the copy schedule stumbled")

    def close(self) -> None:
        """Stop watching the clock."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
