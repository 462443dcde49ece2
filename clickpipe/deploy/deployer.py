"""Compile, plan, apply, promote. The live deployment is unchanged until one transaction replaces it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

from clickpipe.bus import Bus
from clickpipe.catalog import Catalog, Deployment, DeploymentStatus, Live, Registered, SecretValues, service_tables
from clickpipe.compiler import CompiledProject, compile_changes, compile_project, restore_project
from clickpipe.config import SETTINGS_FILE, ProjectRules, with_project
from clickpipe.deploy.apply import Applier
from clickpipe.deploy.backfill.pace import Pace
from clickpipe.deploy.backfill.run import BESIDE, Backfill
from clickpipe.deploy.planning.physical import layout
from clickpipe.deploy.planning.plan import Plan, all_new, make_plan
from clickpipe.deploy.planning.verify import judge_layout
from clickpipe.deploy.standby.clone import Rows, clone_tables
from clickpipe.deploy.standby.standby import Standby
from clickpipe.deploy.tables import Progress
from clickpipe.deploy.writes import Writes
from clickpipe.diagnostics import ClickpipeError, ProjectError, has_errors
from clickpipe.engine import Engine, EngineError, reader_on, scratch
from clickpipe.project import Project, load_texts

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A compiled and planned project, ready to apply; `base` was the live deployment when it was planned."""

    compiled: CompiledProject
    plan: Plan
    base: Live | None


class Deployer:
    """Deploys to one workspace, one deployment at a time."""

    def __init__(
        self,
        engine: Engine,
        catalog: Catalog,
        workspace: Registered,
        writes: Writes,
        standby: Standby,
        secrets: SecretValues,
        bus: Bus,
        rules: ProjectRules,
        pace: Pace,
    ) -> None:
        """Deploy into the workspace's own database, next to its `standby`; its `writes` wait where they must.

        Projects are checked against `rules`; `pace` limits the copying of rows. `DeploymentPromoted` is published.
        """
        self._engine, self._catalog, self._secrets = engine, catalog, secrets
        self._entry, self._workspace, self._writes = workspace, workspace.record, writes
        self._rules = rules
        self._service = service_tables(workspace.record.database)
        self._tables, self.standby, self.pace = standby.tables, standby, pace
        self._applier = Applier(engine, catalog, workspace, writes, standby.tables, standby, pace, bus)
        self.unfinished: Deployment | None = None  # was filling its tables when the server stopped
        self._busy = threading.Lock()
        self._compiled: CompiledProject | None = None  # the last one without errors

    def compile(self, project: Project) -> CompiledProject:
        """Compile a project and check what changed since last time on the engine. See its `diagnostics`."""
        known, rules = self._compiled, self._rules_of(project)
        with scratch(self._engine) as checker:
            if known is None:
                compiled = compile_project(project, checker, rules)
            else:
                compiled = compile_changes(project, known, checker, rules)
        if not has_errors(compiled.diagnostics):
            self._compiled = compiled
        return compiled

    def prepare(self, project: Project, *, allow_destructive: bool = False) -> Prepared:
        """Compile a project and plan its deployment, without changing anything. Raises ProjectError, ClickpipeError."""
        compiled = self.compile(project)
        if has_errors(compiled.diagnostics):
            raise ProjectError(compiled.diagnostics, project.sources)
        physical = layout(compiled, self._workspace.database)
        self._tables.create_database()
        live = self._entry.live
        kept = live.physical.objects if live else ()
        judge_layout(self._engine, compiled, physical, [o for o in physical.objects() if o.name not in kept])
        try:
            plan = make_plan(
                self._engine,
                compiled,
                physical,
                live,
                allow_destructive=allow_destructive,
                secret=partial(self._secrets.value, self._workspace.id),
            )
        except EngineError as error:  # another deployment may have removed tables meanwhile
            if self._entry.live is live:
                raise
            message = "Another deployment was promoted while this one was planned. Please deploy again."
            raise ClickpipeError(message, code="deployment_outdated") from error
        return Prepared(compiled, plan, live)

    def start(self, prepared: Prepared) -> Deployment:
        """Record the deployment that `apply` or `stage` will carry out.

        Raises ClickpipeError 400 if another one runs or is in staging, or was promoted since this one was planned.
        """
        self._take()
        try:
            self._require_current(prepared)
            columns = prepared.compiled.learned()
            texts = prepared.compiled.project.files
            physical = prepared.plan.layout.physical()
            return self._catalog.create_deployment(
                self._workspace.id, texts, columns, prepared.plan.as_dict(), physical
            )
        except BaseException:
            self._busy.release()
            raise

    def _require_current(self, prepared: Prepared) -> None:
        live = self._entry.live
        if live is not prepared.base:
            message = "Another deployment was promoted since this one was planned. Please deploy again."
            raise ClickpipeError(message, code="deployment_outdated")
        if (waiting := self.standby.staging(live)) is not None:
            message = (
                f"Deployment {waiting.deployment_id} waits in staging: promote or discard it first "
                "(`clickpipe deployment promote`, `clickpipe deployment discard`)."
            )
            raise ClickpipeError(message, code="deployment_in_staging")

    def _take(self) -> None:
        if not self._busy.acquire(blocking=False):
            message = "A deployment is already in progress in this workspace."
            raise ClickpipeError(message, code="deployment_in_progress")

    def apply(
        self,
        deployment: Deployment,
        prepared: Prepared,
        progress: Progress = lambda _: None,
        *,
        keep_until: float = 0.0,
    ) -> None:
        """Carry out a started deployment and promote it. If this raises, the live deployment is unchanged.

        The previous deployment is kept until `keep_until` (Unix time in seconds), for going back; 0 keeps nothing.
        """
        self._apply(deployment, prepared, keep_until, progress)

    def stage(self, deployment: Deployment, prepared: Prepared, progress: Progress = lambda _: None) -> None:
        """Carry out a started deployment and leave it in staging; rows written to the live one are forwarded to it.

        If this raises, nothing has changed. Raises ClickpipeError if rows cannot be forwarded.
        """
        self._apply(deployment, prepared, None, progress)

    def _apply(self, deployment: Deployment, prepared: Prepared, keep_until: float | None, progress: Progress) -> None:
        live = Live(deployment.id, prepared.compiled, deployment.physical, self._service)
        try:
            self._applier.apply(deployment, live, prepared.plan, keep_until, progress)
        finally:
            self._busy.release()

    def clone(self, source: Live, writes: Writes, rows: Rows) -> None:
        """Start this workspace, which must be new, as a copy of another's live deployment, with its rows.

        `writes` are the other's, which wait meanwhile. Raises EngineError.
        """
        self._take()
        try:
            found = layout(source.compiled, self._workspace.database)
            plan = Plan((), *all_new(source.compiled), (), found)
            files, learned = source.compiled.project.files, source.compiled.learned()
            deployment = self._catalog.create_deployment(
                self._workspace.id, files, learned, plan.as_dict(), found.physical()
            )
            clone_tables(self._engine, self._tables, found, source, writes, rows)
            live = Live(deployment.id, source.compiled, deployment.physical, self._service)
            self._applier.promote(live, keep=False)
        finally:
            self._busy.release()

    def promote(self, number: int) -> Live:
        """Promote the standby deployment; the one that was live becomes the standby.

        Raises ClickpipeError: 404 if `number` is not the standby's, 409 if the standby is outdated.
        """
        self._take()
        try:
            with self._writes.paused():
                live, other = self._entry.live, self._other(number)
                if live is None:
                    self.standby.other = None
                    self._applier.promote(other, keep=False)
                    return other
                self.standby.require_current()
                self._applier.promote(other, keep=True)
                self._applier.keep(live, other)
                return other
        finally:
            self._busy.release()

    def expired(self, now: float) -> int | None:
        """Return the previous deployment's number if its time is over at `now` (Unix time), else None."""
        previous = self.standby.previous(self._entry.live)
        if previous is None:
            return None
        found = self._catalog.deployment(self._workspace.id, previous.deployment_id)
        until = found.summary.get("kept_until", 0.0) if found else 0.0
        return previous.deployment_id if 0 < until <= now else None

    def discard(self, number: int) -> None:
        """Remove the standby deployment. Raises ClickpipeError 404 if `number` is not the standby's."""
        self._take()
        try:
            with self._writes.paused():
                self._other(number)
                self.standby.discard(self._entry.live)
        finally:
            self._busy.release()

    def _other(self, number: int) -> Live:
        if self.standby.other is None or self.standby.other.deployment_id != number:
            message = f"There is no deployment {number} beside the live one."
            raise ClickpipeError(message, status=404, code="not_found")
        if not self.standby.ready:
            message = f"Deployment {number} is being made: wait until it is ready."
            raise ClickpipeError(message, status=409, code="deployment_in_progress")
        return self.standby.other

    def restore(self, keep: Collection[str] = ()) -> None:
        """After a start, make live what the catalog says is, and remove what a crash left behind.

        Tables in `keep` stay.

        A deployment that was filling its tables is left alone: `go_on` resumes it.
        """
        self._tables.create_database()
        self._tables.kept = frozenset(keep)
        live: Live | None = None
        for deployment in self._catalog.deployments(self._workspace.id):
            if deployment.live:
                live = self._restored(deployment)
            elif deployment.status is DeploymentStatus.DATA_READY:
                self.standby.other = self._restored(deployment)
            elif deployment.status not in {DeploymentStatus.FAILED, DeploymentStatus.DELETED}:
                self._interrupted(deployment)
        try:
            used = {*(live.physical.objects if live else ()), *self.standby.objects(live)}
            if self.unfinished is not None:
                used |= {name for name in self._tables.existing() if name.endswith(BESIDE)}
            self._tables.collect(used)
            self.standby.connect_again(live)
        except (ClickpipeError, EngineError) as error:  # a broken standby must not keep the server from starting
            _LOGGER.warning("the deployment beside the live one is given up: %s", error)
            self.unfinished = None
            self.standby.discard(live)
        self._entry.live = live

    def _interrupted(self, deployment: Deployment) -> None:
        """Prepare to resume a deployment that a stop interrupted, or mark it as failed if that is impossible."""
        work = self._catalog.backfills.work(self._workspace.id, deployment.id)
        if work is not None and Backfill.can_go_on(self._catalog.backfills.done(self._workspace.id, deployment.id)):
            self.standby.other, self.standby.ready = self._restored(deployment), False
            self.unfinished = deployment
            return
        reason = "the server stopped during the deployment"
        with self._catalog.transaction():
            self._catalog.set_status(self._workspace.id, deployment.id, DeploymentStatus.FAILED, reason)
            self._catalog.backfills.end(self._workspace.id, deployment.id)

    def go_on(self, progress: Progress = lambda _: None) -> None:
        """Resume a deployment that was filling its tables when the server stopped. Raises as `apply` does."""
        deployment, other = self.unfinished, self.standby.other
        if deployment is None or other is None or other.deployment_id != deployment.id:
            return
        self._take()
        try:
            self.unfinished = None
            work = self._catalog.backfills.work(self._workspace.id, deployment.id)
            assert work is not None  # noqa: S101 - the record exists while it is unfinished
            self._applier.go_on(deployment, other, work, progress)
        finally:
            self._busy.release()

    def _rules_of(self, project: Project) -> ProjectRules:
        """Return the rules for a project: the server's, made as strict as the project's own settings ask."""
        return with_project(self._rules, project.files.get(SETTINGS_FILE, ""))

    def _restored(self, deployment: Deployment) -> Live:
        project = load_texts(deployment.files)
        compiled = restore_project(project, reader_on(self._engine), deployment.columns, self._rules_of(project))
        return Live(deployment.id, compiled, deployment.physical, self._service)
