"""Compile, plan, apply, promote. Live stays as it is until one transaction replaces it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from clickpipe.catalog import Catalog, Deployment, DeploymentStatus, Live, Workspace, service_tables
from clickpipe.compiler import CompiledProject, compile_project, restore_project
from clickpipe.config import STRICT, ProjectRules
from clickpipe.deploy.physical import Layout, PhysicalObject, layout
from clickpipe.deploy.plan import Plan, existing_objects, make_plan
from clickpipe.diagnostics import ClickpipeError, ProjectError, has_errors
from clickpipe.engine import Engine, EngineError, scratch
from clickpipe.project import Project, load_texts
from clickpipe.sql import quote_identifier
from clickpipe.template import Secrets, no_secret

_LOGGER = logging.getLogger(__name__)

Progress = Callable[[str], None]


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
        self._create_database()
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
        """Record the deployment that `apply` will carry out.

        Raises ClickpipeError 400 while another runs, or when another was promoted since the plan was made.
        """
        if not self._busy.acquire(blocking=False):
            message = "A deployment is already in progress in this workspace."
            raise ClickpipeError(message, code="deployment_in_progress")
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
        if self._hooks.live() is not prepared.base:
            message = "Another deployment was promoted since this one was planned. Please deploy again."
            raise ClickpipeError(message, code="deployment_outdated")

    def apply(self, deployment: Deployment, prepared: Prepared, progress: Progress = lambda _: None) -> Live:
        """Carry out a started deployment and promote it. Live is untouched when anything is raised."""
        try:
            with self._hooks.paused():  # to the end: an old and a new view may write to one table
                live = self._apply_or_undo(deployment, prepared, progress)
                try:
                    self._collect(deployment.physical.objects, progress)
                except EngineError:  # the deployment is live; the next one, or the next start, removes the rest
                    _LOGGER.exception("could not remove what the deployment before used")
                return live
        finally:
            self._busy.release()

    def _apply_or_undo(self, deployment: Deployment, prepared: Prepared, progress: Progress) -> Live:
        physical = prepared.plan.layout
        self._collect(prepared.base.physical.objects if prepared.base else (), progress)  # what a failed undo left
        before = existing_objects(self._engine, physical.database)
        try:
            return self._apply(deployment, prepared, progress)
        except BaseException as error:
            self._undo(physical, before)
            reason = error.message if isinstance(error, EngineError) else str(error)
            self._catalog.set_status(self._workspace.id, deployment.id, DeploymentStatus.FAILED, reason)
            raise

    def _apply(self, deployment: Deployment, prepared: Prepared, progress: Progress) -> Live:
        workspace, steps = self._workspace.id, prepared.plan.steps
        made = [item for step in steps for item in step.create]
        self._catalog.set_status(workspace, deployment.id, DeploymentStatus.CREATING_SCHEMA)
        self._create([item for item in made if not item.is_view], progress)
        self._catalog.set_status(workspace, deployment.id, DeploymentStatus.SCHEMA_READY)
        for step in steps:
            if step.backfill:
                progress(f"copying {step.rows} rows of {step.resource}")
                self._engine.execute(step.backfill)
        for step in steps:
            for statement in step.populate:
                progress(f"filling {step.resource} from {step.rows} rows")
                self._engine.execute(statement)
        self._create([item for item in made if item.is_view], progress)
        self._catalog.set_status(workspace, deployment.id, DeploymentStatus.DATA_READY)
        live = Live(deployment.id, prepared.compiled, deployment.physical, self._service)
        with self._catalog.transaction():
            self._catalog.promote(workspace, deployment.id)
            self._hooks.promote(prepared.compiled)
        self._hooks.promoted(live)
        return live

    def _create(self, objects: Sequence[PhysicalObject], progress: Progress) -> None:
        for item in objects:
            progress(f"creating {item.name}")
            self._engine.execute(item.ddl)

    def _undo(self, physical: Layout, before: set[str]) -> None:
        """Remove what a failed deployment made, views first."""
        made = [o for o in reversed(physical.objects()) if o.name not in before]
        for found in sorted(made, key=lambda o: not o.is_view):
            try:
                self._engine.execute(f"DROP TABLE IF EXISTS {physical.qualified(found.name)}")
            except EngineError:
                _LOGGER.exception("could not remove %s of a failed deployment", found.name)

    def _collect(self, used: Collection[str], progress: Progress) -> None:
        """Remove what the live deployment does not use: views at once, so that nothing is written twice.

        ClickHouse keeps a dropped table until the queries that read it have ended.
        """
        database = self._workspace.database
        unused = existing_objects(self._engine, database) - set(used)
        views = self._views(database)
        for name in sorted(unused, key=lambda n: n not in views):
            progress(f"removing {name}")
            self._engine.execute(f"DROP TABLE IF EXISTS {quote_identifier(database)}.{quote_identifier(name)}")

    def _views(self, database: str) -> set[str]:
        sql = "SELECT name FROM system.tables WHERE database = {database:String} AND engine = 'MaterializedView'"
        body = self._engine.execute(sql, {"database": database}, output="TSVRaw").body
        return set(body.decode().split("\n")) - {""}

    def restore(self) -> Live | None:
        """Return what is live according to the catalog, after a start; remove what a crash left behind."""
        found = self._catalog.live_deployment(self._workspace.id)
        self._create_database()
        for deployment in self._catalog.deployments(self._workspace.id):
            if not deployment.live and deployment.status not in {DeploymentStatus.FAILED, DeploymentStatus.DELETED}:
                reason = "the server stopped during the deployment"
                self._catalog.set_status(self._workspace.id, deployment.id, DeploymentStatus.FAILED, reason)
        if found is None:
            self._collect((), lambda _: None)
            return None
        self._collect(found.physical.objects, lambda _: None)
        compiled = restore_project(load_texts(found.files), found.columns, self._rules)
        return Live(found.id, compiled, found.physical, self._service)

    def _create_database(self) -> None:
        self._engine.execute(f"CREATE DATABASE IF NOT EXISTS {quote_identifier(self._workspace.database)}")
