"""The deployments of a workspace: what is planned, carried out, live, and beside the live one."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from clickpipe.auth import broken
from clickpipe.catalog import Deployment, Live, Registered
from clickpipe.deploy import Deployer, Feedback, Pace, Plan, Prepared, Progress, Rows, complete_part
from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import TableLock
from clickpipe.jobs import Report
from clickpipe.project import Project, load_texts
from clickpipe.runtime.services import Services


class Deployments:
    """The deployments of one workspace. Methods may be called from any thread."""

    def __init__(self, services: Services, workspace: Registered, lock: TableLock) -> None:
        """Deploy to a workspace; `restore` makes live what was live."""
        settings = services.settings
        self._services = services
        self._entry = workspace
        self._lock = lock
        self._id = workspace.record.id
        pace = Pace(
            services.engine,
            threads=settings.backfill_threads,
            rows_per_second=settings.backfill_rows_per_second,
        )
        self._deployer = Deployer(
            services.engine,
            services.catalog,
            workspace,
            lock,
            services.standbys.add(workspace.record),
            services.secrets,
            services.bus,
            settings.rules(on_server=True),
            pace,
        )

    def restore(self, keep: Collection[str] = ()) -> None:
        """After a start, make live what the catalog says is; tables in `keep` are not removed."""
        self._deployer.restore(keep)

    def live(self) -> Live | None:
        """Return the live deployment; None before the first."""
        return self._entry.live

    def prepare(
        self, files: Mapping[str, str], *, allow_destructive: bool = False, skip_incomplete: bool = False
    ) -> Prepared:
        """Compile files and plan their deployment, without changing anything. Raises ProjectError.

        `skip_incomplete` leaves out pipes that need data sources which are not in the project.
        """
        if not skip_incomplete:
            return self.prepare_project(load_texts(files), allow_destructive=allow_destructive)
        project, left_out = complete_part(self._deployer.compile(load_texts(files)))
        prepared = self.prepare_project(project, allow_destructive=allow_destructive)
        message = "It is left out: it needs a data source that is not in the project."
        told = tuple(Feedback("WARNING", f"Pipe {pipe}.pipe", message) for pipe in left_out)
        return replace(prepared, plan=replace(prepared.plan, feedback=(*told, *prepared.plan.feedback)))

    def prepare_project(self, project: Project, *, allow_destructive: bool = False) -> Prepared:
        """Compile a loaded project and plan its deployment. Raises ProjectError."""
        prepared = self._deployer.prepare(project, allow_destructive=allow_destructive)
        if self._entry.live is None:
            return prepared
        found = self._services.catalog.tokens.all(self._id)
        lost = broken(found, self._entry.live.compiled, prepared.compiled)
        told = tuple(Feedback("WARNING", "tokens", message) for message in lost)
        return replace(prepared, plan=replace(prepared.plan, feedback=(*prepared.plan.feedback, *told)))

    def start(self, prepared: Prepared) -> Deployment:
        """Record a deployment for `apply` to carry out. Deploying to a preview extends its life."""
        if self._entry.record.parent:
            expires_at = time.time() + self._services.settings.preview_seconds
            self._services.catalog.set_expiry(self._id, expires_at if self._services.settings.preview_seconds else 0.0)
        return self._deployer.start(prepared)

    def apply(
        self,
        deployment: Deployment,
        prepared: Prepared,
        progress: Progress = lambda _: None,
        *,
        keep_seconds: float = 0.0,
    ) -> None:
        """Carry out a started deployment and promote it; keep the previous one for `keep_seconds`."""
        until = time.time() + keep_seconds if keep_seconds else 0.0
        self._deployer.apply(deployment, prepared, progress, keep_until=until)

    def go_on(self) -> None:
        """After a start, resume a deployment that was filling its tables, as a job."""
        unfinished = self._deployer.unfinished
        if unfinished is not None:

            def work(report: Report) -> Mapping[str, Any]:
                self._deployer.go_on(lambda text: report({"progress": text}))
                return {}

            self._services.jobs.submit(self._id, "deployment", str(unfinished.id), work)

    def stop(self) -> None:
        """Stop a deployment that copies rows; it is resumed after the next start."""
        self._deployer.pace.stop()

    def clone(self, other: Deployments, rows: Rows) -> None:
        """Start as a copy of another workspace's live deployment, with its rows, if it has one."""
        if (live := other.live()) is not None:
            self._deployer.clone(live, other._lock, rows)

    def expire_previous(self) -> None:
        """Start a job that removes the previous deployment if its time is over."""
        number = self._deployer.expired(time.time())
        if number is None or self._services.jobs.is_running(self._id, "cleanup", str(number)):
            return

        def work(_: Report) -> Mapping[str, Any]:
            before = self._bytes_on_disk()
            self._deployer.discard(number)
            return {"freed_bytes": max(0, before - self._bytes_on_disk())}

        self._services.jobs.submit(self._id, "cleanup", str(number), work)

    def _bytes_on_disk(self) -> int:
        extents = self._services.engine.storage.extents(self._entry.record.database)
        return sum(extent.size for extent in extents.values())

    def stage(self, deployment: Deployment, prepared: Prepared, progress: Progress = lambda _: None) -> None:
        """Carry out a started deployment and leave it in staging."""
        self._deployer.stage(deployment, prepared, progress)

    def staging(self) -> Live | None:
        """Return the deployment in staging, or None."""
        return self._deployer.standby.staging(self._entry.live)

    def previous(self) -> Live | None:
        """Return the previous deployment if it is kept, else None."""
        return self._deployer.standby.previous(self._entry.live)

    def promote(self, number: int) -> None:
        """Promote the standby deployment: the one in staging or, to roll back, the previous one.

        Raises ClickpipeError: 404 if `number` is not the standby's, 409 if the standby is outdated.
        """
        self._deployer.promote(number)

    def discard(self, number: int) -> None:
        """Remove the standby deployment. Raises ClickpipeError 404 if `number` is not the standby's."""
        self._deployer.discard(number)

    def deployed_at(self) -> str:
        """Return when the live deployment was created; '' before the first."""
        return self._services.catalog.deployed_at(self._id)

    def deploy(
        self, files: Mapping[str, str], *, allow_destructive: bool = False, progress: Progress = lambda _: None
    ) -> Plan:
        """Deploy a project's files and promote them; return what changed.

        Raises ProjectError if the project has errors, ClickpipeError if the plan is refused.
        """
        prepared = self.prepare(files, allow_destructive=allow_destructive)
        if prepared.plan.errors:
            raise ClickpipeError("\n".join(f.message for f in prepared.plan.errors), code="plan_refused")
        if not prepared.plan.is_empty:
            self.apply(self.start(prepared), prepared, progress)
        return prepared.plan
