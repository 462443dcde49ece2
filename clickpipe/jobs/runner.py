"""The job runner: runs long work on threads and records it in the catalog."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from clickpipe.bus import Bus, JobChanged
from clickpipe.catalog import Catalog, Job, Registry
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import EngineError, interrupted_by, work_for
from clickpipe.jobs.report import JobCancelled, JobStopped, Report
from clickpipe.query import shown_error

_LOGGER = logging.getLogger(__name__)

_MOST = 1_000  # jobs of a kind that a workspace may have running and waiting
_AGAIN_AFTER = 1.0  # seconds between attempts to record how a job ended

Work = Callable[[Report], Mapping[str, Any]]


class JobRunner:
    """Runs jobs of all workspaces, a few of each kind at once."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        bus: Bus | None = None,
        workspaces: Registry | None = None,
        workers: int = 4,
    ) -> None:
        """Mark jobs that an earlier server left unfinished as failed; publish `JobChanged` when one begins or ends.

        `workspaces` knows the engine owner of each workspace's jobs.

        `unfinished` are the interrupted jobs as they were; pass those that can be repeated to `resume`.
        """
        self._bus = bus or Bus()
        self._workspaces = workspaces or Registry()
        self._catalog = catalog
        self.unfinished = catalog.jobs.unfinished()
        catalog.jobs.fail_unfinished()
        self._workers = workers
        self._pools: dict[tuple[str, str], ThreadPoolExecutor] = {}
        self._running: dict[str, Future[None]] = {}
        self._reports: dict[str, Report] = {}
        self._jobs: dict[str, Job] = {}
        self._closing = threading.Event()
        self._opening = threading.Lock()

    def submit(
        self, workspace: str, kind: str, resource: str, work: Work, parameters: Mapping[str, Any] | None = None
    ) -> Job:
        """Record a job and run it soon; its result is what `work` last reported, and finally what it returns.

        `parameters` are what is needed to start it again. Raises ClickpipeError 429 if too many wait already.
        """
        if sum((j.workspace_id, j.kind) == (workspace, kind) for j in list(self._jobs.values())) >= _MOST:
            message = f"{_MOST} jobs of this kind run or wait. Please ask again in a moment."
            raise ClickpipeError(message, status=429, code="too_many_jobs")
        return self._start(self._catalog.jobs.create(workspace, kind, resource, parameters or {}), work)

    def resume(self, job: Job, work: Work) -> None:
        """Run a job that an earlier server left unfinished; `work` knows what it had reported."""
        self._catalog.jobs.update(job.id, "waiting")
        self._start(job, work)

    def _start(self, job: Job, work: Work) -> Job:
        report = self._reports[job.id] = Report(lambda result: self._progress(job, result), job.id)
        self._jobs[job.id] = job
        future = self._pool(job).submit(self._run, job, work, report)
        self._running[job.id] = future
        future.add_done_callback(lambda _: self._forget(job.id))
        return job

    def _pool(self, job: Job) -> ThreadPoolExecutor:
        """Return the pool for a job: one per workspace and kind, with a single thread for deployments.

        So a workspace's jobs never wait for another's, copies never for imports, and deployments for nothing else.
        """
        key = (job.workspace_id, job.kind)
        with self._opening:
            if key not in self._pools:
                self._pools[key] = ThreadPoolExecutor(
                    1 if job.kind == "deployment" else self._workers,
                    thread_name_prefix=f"jobs-{job.kind}",
                    initializer=work_for,
                    initargs=(self._workspaces.owner(job.workspace_id),),
                )
            return self._pools[key]

    def _forget(self, job_id: str) -> None:
        self._running.pop(job_id, None)
        self._reports.pop(job_id, None)
        self._jobs.pop(job_id, None)

    def is_running(self, workspace: str, kind: str, resource: str) -> bool:
        """Return whether such a job runs or waits."""
        wanted = (workspace, kind, resource)
        return any((j.workspace_id, j.kind, j.resource) == wanted for j in list(self._jobs.values()))

    def cancel(self, job: Job) -> None:
        """Cancel a job: at once if it waits, as soon as possible if it runs. A deployment is undone.

        Raises ClickpipeError 409 if it has ended.
        """
        future, report = self._running.get(job.id), self._reports.get(job.id)
        if future is None or report is None or future.done():
            message = f"The job has ended: it is '{job.status}'."
            raise ClickpipeError(message, status=409, code="job_ended")
        if future.cancel():
            self._catalog.jobs.update(job.id, "cancelled")
            self._tell(job)
            return
        self._catalog.jobs.update(job.id, "cancelling", only="working")
        report.cancel()
        if job.kind == "deployment":  # other jobs end where they can
            report.ended.set()

    def wait_for_all(self, workspace: str) -> None:
        """Wait until no job of a workspace runs or waits."""
        for job in list(self._jobs.values()):
            if job.workspace_id == workspace:
                self.wait(job.id)

    def running(self, job_id: str) -> Future[None] | None:
        """Return a future that is done when the job has ended, or None if it has ended."""
        return self._running.get(job_id)

    def wait(self, job_id: str, timeout: float | None = None) -> None:
        """Wait until a job has ended, or for `timeout` seconds."""
        future = self._running.get(job_id)
        if future is not None:
            wait([future], timeout)

    def _progress(self, job: Job, result: Mapping[str, Any]) -> None:
        try:
            self._catalog.jobs.update(job.id, "working", result=result, only="working")
        except sqlite3.Error as error:
            _LOGGER.warning("how far job %s is cannot be recorded: %s", job.id, error)

    def _run(self, job: Job, work: Work, report: Report) -> None:
        self._record(job, "working")
        self._tell(job)
        try:
            with interrupted_by(report.ended):
                result = work(report)
        except JobStopped:
            return  # resumed after the next start
        except JobCancelled as how:
            self._record(job, "cancelled", str(how))
        except (ClickpipeError, EngineError) as error:
            ended = "QUERY_WAS_CANCELLED" in {getattr(error, "name", ""), error.code}
            if ended and report.stopped and not report.cancelled:
                return
            stopped = ended and report.cancelled
            self._record(job, "cancelled" if stopped else "error", "" if stopped else shown_error(error))
        except Exception:
            _LOGGER.exception("job %s (%s of %s) failed", job.id, job.kind, job.resource)
            self._record(job, "error", "internal error, see the server's log")
        else:
            self._record(job, "done", result=result)
        finally:
            self._tell(job)

    def _record(self, job: Job, status: str, error: str = "", result: Mapping[str, Any] | None = None) -> None:
        """Record a job's status, retrying while the disk is full; without `result`, the last report is kept."""
        while True:
            try:
                self._catalog.jobs.update(job.id, status, error=error, result=result)
            except sqlite3.Error as problem:
                _LOGGER.warning("that job %s is '%s' cannot be recorded yet: %s", job.id, status, problem)
                if self._closing.wait(_AGAIN_AFTER):
                    return
            else:
                if status == "error":
                    _LOGGER.warning("job %s (%s of %s) failed: %s", job.id, job.kind, job.resource, error)
                return

    def _tell(self, job: Job) -> None:
        try:
            now = self._catalog.jobs.get(job.workspace_id, job.id)
        except sqlite3.Error:
            return
        if now is not None:
            self._bus.publish(JobChanged(now))

    def stop(self) -> None:
        """Ask running jobs to end soon; those that can be resumed are, at the next start."""
        for report in list(self._reports.values()):
            if not report.stopped:
                report.stop()

    def close(self) -> None:
        """Ask running jobs to end soon, and wait for them."""
        self._closing.set()
        self.stop()
        for pool in list(self._pools.values()):
            pool.shutdown(wait=True, cancel_futures=True)
