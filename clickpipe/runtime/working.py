"""The jobs of a workspace: started, run again, or resumed after a restart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from clickpipe.catalog import Job
from clickpipe.diagnostics import ClickpipeError, UnknownResource
from clickpipe.jobs import Population, Work
from clickpipe.runtime.bucket_imports import BUCKET, MOST
from clickpipe.runtime.copying import Copies
from clickpipe.runtime.data_in import LiveData
from clickpipe.runtime.populating import may_be_repeated, population, rebuilding, why_not_repeated
from clickpipe.runtime.services import Services
from clickpipe.runtime.sinking import Sinks
from clickpipe.runtime.tables import LiveTables
from clickpipe.runtime.upload import COMPLETE, is_there


class WorkspaceJobs:
    """Starts the jobs of one workspace. Methods may be called from any thread."""

    def __init__(self, services: Services, tables: LiveTables, data: LiveData, copies: Copies, sinks: Sinks) -> None:
        """Start jobs that write to `tables`; those of `data`, `copies` and `sinks` can be run again as well."""
        self._services = services
        self._tables = tables
        self._id = tables.workspace
        self._data = data
        self._copies = copies
        self._sinks = sinks

    def populate(self, wanted: Population) -> Job:
        """Start a job that populates a materialized view. Raises ClickpipeError 404, 400."""
        work = population(self._services, self._tables, wanted)
        return self._services.jobs.submit(self._id, "populateview", wanted.pipe, work, asdict(wanted))

    def rebuild(self, view: str) -> Job:
        """Start a job that rebuilds a view's target. Raises ClickpipeError 404 if there is no such view."""
        views = self._tables.live().compiled.views
        if view not in views:
            known = [("PIPES", name) for name in views]
            raise UnknownResource(f"There is no materialized view '{view}'", view, known, status=404, code="not_found")
        work = rebuilding(self._services, self._tables, view)
        return self._services.jobs.submit(self._id, "rebuild", view, work)

    def retry(self, job: Job) -> Job:
        """Run an ended job again. Raises ClickpipeError: 409 if it has not ended, 400 if it cannot be repeated."""
        if job.status in {"waiting", "working", "cancelling"}:
            message = f"The job has not ended: it is '{job.status}'."
            raise ClickpipeError(message, status=409, code="job_not_ended")
        work = self._work(job)
        if work is None:
            again = {"import": "send the file again", "deployment": "deploy again"}.get(job.kind, "start it anew")
            message = f"This job of the kind '{job.kind}' cannot be run again from here: {again}."
            raise ClickpipeError(message, code="not_retryable")
        return self._services.jobs.submit(self._id, job.kind, job.resource, work, job.parameters)

    def kept(self) -> list[str]:
        """Return the tables that interrupted jobs need to be resumed."""
        begun = [job.result for job in self._services.jobs.unfinished if job.workspace_id == self._id]
        kept = [str(result[key]) for result in begun for key in ("kept", "appending") if key in result]
        return kept + [table for result in begun for key in ("behind", "tables") for table in result.get(key) or ()]

    def take_up(self, job: Job) -> None:
        """Resume a job that a restart interrupted, if that is safe.

        Jobs that had not begun are run. Of those that had, deletions, rebuilds, quarantine replays, sinks and replacing
        copies start over; imports, appending copies and populations continue where they were.
        """
        twice = (
            job.kind in {"delete_data", "quarantine_replay", "import", "rebuild"}
            or (job.kind == "sink" and self._is_deployed())
            or may_be_repeated(job)
            or (
                job.kind == "copy"
                and self._is_deployed()
                and (self._copies.replaces(job.resource, job.parameters.get("mode")) or "appending" in job.result)
            )
        )
        work = self._work(job, resumed=True) if job.status == "waiting" or (twice and job.status == "working") else None
        if work is not None:
            self._services.jobs.resume(job, work)
        elif job.kind == "populateview":
            self._services.catalog.jobs.update(job.id, "error", error=why_not_repeated(job))

    def _work(self, job: Job, *, resumed: bool = False) -> Work | None:
        """Return a job's work, or None if it cannot be repeated: uploads whose file is gone, and jobs for staging."""
        if job.parameters.get("deployment"):
            return None
        before: Mapping[str, Any] | None = job.result if resumed else None
        if job.kind in {"copy", "sink"}:
            values, mode = job.parameters.get("values") or {}, job.parameters.get("mode")
            of = self._copies if job.kind == "copy" else self._sinks
            return of.work(job.resource, values, mode, before)
        if job.kind == "delete_data" and "condition" in job.parameters:
            return self._data.deletion(job.resource, job.parameters["condition"])
        if job.kind == "rebuild":
            return rebuilding(self._services, self._tables, job.resource)
        if job.kind == "populateview" and self._is_deployed() and job.parameters:
            return population(self._services, self._tables, Population(**job.parameters), before)
        if job.kind == "import" and job.parameters.get(BUCKET):
            again, most = bool(job.parameters.get("again")), job.parameters.get(MOST)
            return self._data.buckets.work(job.resource, again=again, most=most)
        if job.kind == "import" and resumed and (job.result.get(COMPLETE) or is_there(job.parameters)):
            return self._data.importing(job.parameters, job.result)
        return self._data.replaying(job.resource) if job.kind == "quarantine_replay" else None

    def _is_deployed(self) -> bool:
        return self._services.registry.live(self._id) is not None
