"""What a workspace does with deployments."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from clickpipe.auth import broken
from clickpipe.catalog import Deployment, Live
from clickpipe.deploy import Deployer, Feedback, Plan, Prepared, Progress, Rows, complete_part
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import EngineError
from clickpipe.jobs import Report
from clickpipe.project import Project, load_texts
from clickpipe.runtime.services import Services


class Deploying:
    """The part of a workspace that deploys. Its methods may be called from any thread."""

    _services: Services
    _deployer: Deployer
    id: str
    database: str
    parent: str
    live: Live | None
    paused: Callable[[], AbstractContextManager[None]]

    def prepare(
        self, files: Mapping[str, str], *, allow_destructive: bool = False, skip_incomplete: bool = False
    ) -> Prepared:
        """Compile files and plan their deployment; nothing changes. Raises ProjectError.

        With `skip_incomplete` the pipes are left out that need data sources which are not in the project.
        """
        if not skip_incomplete:
            return self.prepare_project(load_texts(files), allow_destructive=allow_destructive)
        project, left_out = complete_part(self._deployer.compile(load_texts(files)))
        prepared = self.prepare_project(project, allow_destructive=allow_destructive)
        message = "It is left out: it needs a data source that is not in the project."
        told = tuple(Feedback("WARNING", f"Pipe {pipe}.pipe", message) for pipe in left_out)
        return replace(prepared, plan=replace(prepared.plan, feedback=(*told, *prepared.plan.feedback)))

    def prepare_project(self, project: Project, *, allow_destructive: bool = False) -> Prepared:
        """Compile a project that was read and plan its deployment. Raises ProjectError."""
        prepared = self._deployer.prepare(project, allow_destructive=allow_destructive)
        if self.live is None:
            return prepared
        found = self._services.catalog.tokens.all(self.id)
        lost = broken(found, self.live.compiled, prepared.compiled)
        told = tuple(Feedback("WARNING", "tokens", message) for message in lost)
        return replace(prepared, plan=replace(prepared.plan, feedback=(*prepared.plan.feedback, *told)))

    def start(self, prepared: Prepared) -> Deployment:
        """Record a deployment that `apply` carries out; a preview that is deployed to is kept longer."""
        if self.parent:
            expires_at = time.time() + self._services.settings.preview_seconds
            self._services.catalog.set_expiry(self.id, expires_at if self._services.settings.preview_seconds else 0.0)
        return self._deployer.start(prepared)

    def apply(
        self,
        deployment: Deployment,
        prepared: Prepared,
        progress: Progress = lambda _: None,
        *,
        keep_seconds: float = 0.0,
    ) -> None:
        """Carry out a started deployment and promote it; what was live before is kept for so many seconds."""
        until = time.time() + keep_seconds if keep_seconds else 0.0
        self._deployer.apply(deployment, prepared, progress, keep_until=until)

    def go_on(self) -> None:
        """After a start: go on, in a job, with a deployment that a stopped server was filling the tables of."""
        unfinished = self._deployer.unfinished
        if unfinished is not None:

            def work(report: Report) -> Mapping[str, Any]:
                self._deployer.go_on(lambda text: report({"progress": text}))
                return {}

            self._services.jobs.submit(self.id, "deployment", str(unfinished.id), work)

    def stop(self) -> None:
        """Run no more of a deployment that copies rows: the next start goes on with it."""
        self._deployer.pace.stop()

    def clone(self, other: Deploying, rows: Rows) -> None:
        """Answer from what another workspace answers from, with its rows, if it answers from anything."""
        if other.live is not None:
            self._deployer.clone(other.live, other.paused, rows)

    def expire_previous(self) -> None:
        """Start a job that removes what was live before the live deployment, when it was kept for long enough."""
        number = self._deployer.expired(time.time())
        if number is None or self._services.jobs.is_running(self.id, "cleanup", str(number)):
            return

        def work(_: Report) -> Mapping[str, Any]:
            before = self._bytes_on_disk()
            self._deployer.discard(number)
            return {"freed_bytes": max(0, before - self._bytes_on_disk())}

        self._services.jobs.submit(self.id, "cleanup", str(number), work)

    def _bytes_on_disk(self) -> int:
        return sum(extent.size for extent in self._services.engine.storage.extents(self.database).values())

    def stage(self, deployment: Deployment, prepared: Prepared, progress: Progress = lambda _: None) -> None:
        """Carry out a started deployment beside the live one, where it waits to be promoted."""
        self._deployer.stage(deployment, prepared, progress)

    def staging(self) -> Live | None:
        """Return the deployment that waits to be promoted."""
        return self._deployer.standby.staging(self.live)

    def previous(self) -> Live | None:
        """Return the deployment that was live before, if it is kept."""
        return self._deployer.standby.previous(self.live)

    def promote(self, number: int) -> None:
        """Make the deployment beside the live one live: staging, or, to roll back, the previous one.

        Raises ClickpipeError 404 for another, 409 for one that lacks what was done to the live one.
        """
        self._deployer.promote(number)

    def discard(self, number: int) -> None:
        """Remove the deployment beside the live one. Raises ClickpipeError 404 for another."""
        self._deployer.discard(number)

    def _is_changing(self, data_source: str) -> bool:
        return self.live is not None and self._deployer.standby.is_making(self.live, data_source)

    def sever_standby(self, error: EngineError) -> bool:
        """Tell whether an insert failed by a view of the deployment beside the live one: it gets no more rows then."""
        return self._deployer.standby.sever(self.live, error)

    def _outdate(self, data_source: str) -> None:
        self._deployer.standby.outdate(self.live, data_source)

    def deploy(
        self, files: Mapping[str, str], *, allow_destructive: bool = False, progress: Progress = lambda _: None
    ) -> Plan:
        """Deploy a project's files and promote them; return what changed.

        Raises ProjectError for a project with errors, ClickpipeError for a plan that may not be applied.
        """
        prepared = self.prepare(files, allow_destructive=allow_destructive)
        if prepared.plan.errors:
            raise ClickpipeError("\n".join(f.message for f in prepared.plan.errors), code="plan_refused")
        if not prepared.plan.is_empty:
            self.apply(self.start(prepared), prepared, progress)
        return prepared.plan
