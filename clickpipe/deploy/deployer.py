"""Compile, plan, apply, promote. Live stays as it is until one transaction replaces it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from clickpipe.catalog import Catalog, Deployment, DeploymentStatus, Live, Workspace, service_tables
from clickpipe.compiler import CompiledProject, compile_project, restore_project
from clickpipe.config import STRICT, ProjectRules
from clickpipe.deploy.beside import Beside
from clickpipe.deploy.history import History
from clickpipe.deploy.physical import Layout, layout
from clickpipe.deploy.plan import Plan, make_plan
from clickpipe.deploy.tables import Progress, Tables
from clickpipe.diagnostics import ClickpipeError, ProjectError, has_errors
from clickpipe.engine import Engine, EngineError, scratch
from clickpipe.project import Project, load_texts
from clickpipe.template import Secrets, no_secret

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A project that compiled and was planned, ready to apply; `base` is what was live then."""

    compiled: CompiledProject
    plan: Plan
    base: Live | None


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a deployment needs from the running server.

    `live` tells what a workspace answers from; `paused` holds its inserts; `promote` is called inside
    the catalog's transaction and `promoted` after it, with what is live from then on; `secret` tells which there are.
    """

    live: Callable[[], Live | None]
    paused: Callable[[], AbstractContextManager[None]]
    promote: Callable[[CompiledProject], None]
    promoted: Callable[[Live], None]
    secret: Secrets = no_secret


class Deployer:
    """Deploys to one workspace, one deployment at a time."""

    def __init__(
        self, engine: Engine, catalog: Catalog, workspace: Workspace, hooks: Hooks, rules: ProjectRules = STRICT
    ) -> None:
        """Deploy into the workspace's own database; projects are held to `rules`."""
        self._engine = engine
        self._catalog = catalog
        self._workspace = workspace
        self._hooks = hooks
        self._rules = rules
        self._service = service_tables(workspace.database)
        self._tables = Tables(engine, workspace.database)
        self.beside = Beside(engine, catalog, workspace, self._tables)
        self._busy = threading.Lock()

    def compile(self, project: Project) -> CompiledProject:
        """Compile and check on the engine; look at the diagnostics."""
        with scratch(self._engine) as checker:
            return compile_project(project, checker, self._rules)

    def prepare(self, project: Project, *, allow_destructive: bool = False) -> Prepared:
        """Compile a project and plan its deployment; changes nothing. Raises ProjectError."""
        compiled = self.compile(project)
        if has_errors(compiled.diagnostics):
            raise ProjectError(compiled.diagnostics, project.sources)
        physical = layout(compiled, self._workspace.database)
        self._tables.create_database()
        live = self._hooks.live()
        plan = make_plan(
            self._engine,
            compiled,
            physical,
            live,
            allow_destructive=allow_destructive,
            secret=self._hooks.secret,
        )
        return Prepared(compiled, plan, live)

    def start(self, prepared: Prepared) -> Deployment:
        """Record the deployment that `apply` or `stage` will carry out.

        Raises ClickpipeError 400 while another runs or waits, or when another was promoted since the plan was made.
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
        live = self._hooks.live()
        if live is not prepared.base:
            message = "Another deployment was promoted since this one was planned. Please deploy again."
            raise ClickpipeError(message, code="deployment_outdated")
        if (waiting := self.beside.staging(live)) is not None:
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
    ) -> Live:
        """Carry out a started deployment and promote it. Live is untouched when anything is raised.

        What was live before is kept beside it until `keep_until` (seconds since 1970), to return to; 0 keeps nothing.
        """
        base = prepared.base
        try:
            with self._or_undo(deployment, prepared):
                live = self._make(deployment, prepared, progress, at_once=True)
                if self._hooks.live() is not live:
                    with self._hooks.paused():
                        self.beside.require_current()
                        self._promote(live, keep=keep_until > 0)
                        self.beside.other = None
                        self._keep_or_remove(base, live, keep_until, progress)
                else:  # nothing can be passed back, so nothing is kept
                    with self._hooks.paused():
                        self._keep_or_remove(base, live, 0.0, progress)
            return live
        finally:
            self._busy.release()

    def _keep_or_remove(self, base: Live | None, live: Live, keep_until: float, progress: Progress) -> None:
        try:
            if base is not None and keep_until:
                self._keep(base, live, keep_until)
            else:
                self._tables.collect(live.physical.objects, progress)
        except EngineError:  # the deployment is live; the next one, or the next start, removes the rest
            _LOGGER.exception("could not remove what the deployment before used")

    def stage(self, deployment: Deployment, prepared: Prepared, progress: Progress = lambda _: None) -> Live:
        """Carry out a started deployment beside the live one: rows that are written to that are passed on to it.

        Nothing is changed when anything is raised. Raises ClickpipeError for rows that cannot be passed on.
        """
        try:
            with self._or_undo(deployment, prepared):
                return self._make(deployment, prepared, progress, at_once=False)
        finally:
            self._busy.release()

    @contextmanager
    def _or_undo(self, deployment: Deployment, prepared: Prepared) -> Iterator[None]:
        """Remove what was made when something is raised, unless it was promoted."""
        base = prepared.base
        with self._hooks.paused():
            self.beside.discard(base)  # what was live before the live one
            self._tables.collect(base.physical.objects if base else ())  # what a failed undo left
        before = self._tables.existing()
        try:
            yield
        except BaseException as error:
            if self._hooks.live() is base:
                self.beside.other = None
                with self._hooks.paused():
                    self._undo(prepared.plan.layout, before)
                reason = error.message if isinstance(error, EngineError) else str(error)
                self._catalog.set_status(self._workspace.id, deployment.id, DeploymentStatus.FAILED, reason)
            raise

    def _undo(self, physical: Layout, before: set[str]) -> None:
        """Remove what a failed deployment made; what cannot be removed now, the next one does."""
        self._tables.undo([o for o in reversed(physical.objects()) if o.name not in before])
        try:
            self._tables.collect(before)
        except EngineError:
            _LOGGER.exception("could not remove all of a failed deployment")

    def _make(self, deployment: Deployment, prepared: Prepared, progress: Progress, *, at_once: bool) -> Live:
        """Make all of a deployment, beside the live one: ready to be promoted.

        Where rows cannot be passed on meanwhile, or files not be handed on, and it is to be promoted `at_once`, it is,
        in the moment in which no row is written.
        """
        workspace, steps = self._workspace.id, prepared.plan.steps
        live = Live(deployment.id, prepared.compiled, deployment.physical, self._service)
        history = History(self._engine, self._tables, self._workspace.database, steps if prepared.base else ())
        made = [item for step in steps for item in step.create]
        self._catalog.set_status(workspace, deployment.id, DeploymentStatus.CREATING_SCHEMA)
        with self._hooks.paused():
            self._tables.create([item for item in made if not item.is_view], progress)
            self._catalog.set_status(workspace, deployment.id, DeploymentStatus.SCHEMA_READY)
            for step in steps:
                if step.move:
                    self._engine.execute(step.move)
            waits = history.can_wait and (not at_once or self.beside.can_connect(prepared.base, live))
            if waits:
                history.cut()
            else:
                history.fill_now(progress)
            self._tables.create([item for item in made if item.is_view], progress)
            if waits or not at_once:
                self.beside.other, self.beside.ready = live, False
                self.beside.connect(prepared.base)
            else:
                self._promote(live, keep=False)
                return live
        if waits:
            history.fill(progress)
        self._catalog.set_status(workspace, deployment.id, DeploymentStatus.DATA_READY)
        self.beside.ready = not at_once
        return live

    def _promote(self, live: Live, *, keep: bool) -> None:
        with self._catalog.transaction():
            self._catalog.promote(self._workspace.id, live.deployment_id, keep=keep)
            self._hooks.promote(live.compiled)
        self._hooks.promoted(live)

    def promote(self, number: int) -> Live:
        """Make the deployment beside the live one live; that is kept beside it then.

        Raises ClickpipeError: 404 for another, 409 for one that lacks what was done to the live one.
        """
        self._take()
        try:
            with self._hooks.paused():
                live, other = self._hooks.live(), self._other(number)
                if live is None:
                    self.beside.other = None
                    self._promote(other, keep=False)
                    return other
                self.beside.require_current()
                self._promote(other, keep=True)
                self._keep(live, other)
                return other
        finally:
            self._busy.release()

    def _keep(self, before: Live, live: Live, until: float = 0.0) -> None:
        """Keep what was live before beside what is; `until` then (0: until it is discarded)."""
        try:
            self.beside.swap(before, live)
            self._catalog.keep_until(self._workspace.id, before.deployment_id, until)
        except (ClickpipeError, EngineError) as error:
            _LOGGER.warning("deployment %d is not kept: %s", before.deployment_id, error)
            self.beside.other = before
            self.beside.discard(live)

    def expired(self, now: float) -> int | None:
        """Return the number of the deployment that was live before, when it was kept for long enough; None if not."""
        previous = self.beside.other
        if previous is None or self.beside.staging(self._hooks.live()) is not None:
            return None
        found = self._catalog.deployment(self._workspace.id, previous.deployment_id)
        until = found.summary.get("kept_until", 0.0) if found else 0.0
        return previous.deployment_id if 0 < until <= now else None

    def discard(self, number: int) -> None:
        """Remove the deployment beside the live one. Raises ClickpipeError 404 for another."""
        self._take()
        try:
            with self._hooks.paused():
                self._other(number)
                self.beside.discard(self._hooks.live())
        finally:
            self._busy.release()

    def _other(self, number: int) -> Live:
        if self.beside.other is None or self.beside.other.deployment_id != number:
            message = f"There is no deployment {number} beside the live one."
            raise ClickpipeError(message, status=404, code="not_found")
        return self.beside.other

    def restore(self) -> Live | None:
        """Return what is live according to the catalog, after a start; remove what a crash left behind."""
        self._tables.create_database()
        live: Live | None = None
        for deployment in self._catalog.deployments(self._workspace.id):
            if deployment.live:
                live = self._restored(deployment)
            elif deployment.status is DeploymentStatus.DATA_READY:
                self.beside.other = self._restored(deployment)
            elif deployment.status not in {DeploymentStatus.FAILED, DeploymentStatus.DELETED}:
                reason = "the server stopped during the deployment"
                self._catalog.set_status(self._workspace.id, deployment.id, DeploymentStatus.FAILED, reason)
        try:
            used = {*(live.physical.objects if live else ()), *self.beside.objects(live)}
            self._tables.collect(used)
            self.beside.connect_again(live)
        except (ClickpipeError, EngineError) as error:  # what is beside the live one does not keep it from answering
            _LOGGER.warning("the deployment beside the live one is given up: %s", error)
            self.beside.discard(live)
        return live

    def _restored(self, deployment: Deployment) -> Live:
        compiled = restore_project(load_texts(deployment.files), deployment.columns, self._rules)
        return Live(deployment.id, compiled, deployment.physical, self._service)
