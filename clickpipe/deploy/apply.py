"""Carries out a plan: creates tables and views next to the live ones, fills and promotes them, or undoes it all."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from clickpipe.auth import reconcile
from clickpipe.bus import Bus, DeploymentPromoted
from clickpipe.catalog import Catalog, Deployment, DeploymentStatus, Live, Registered
from clickpipe.deploy.backfill.fills import Fill, fills
from clickpipe.deploy.backfill.pace import Pace
from clickpipe.deploy.backfill.run import Backfill
from clickpipe.deploy.planning.plan import Plan
from clickpipe.deploy.standby.standby import Standby
from clickpipe.deploy.tables import Progress, Tables
from clickpipe.deploy.writes import Writes
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, EngineError

_LOGGER = logging.getLogger(__name__)
_AGAIN_AFTER = (0.2, 0.5, 1.0, 2.0, 5.0)  # seconds between retries: a full disk may have space again


class Applier:
    """Applies plans to one workspace, one at a time."""

    def __init__(
        self,
        engine: Engine,
        catalog: Catalog,
        workspace: Registered,
        writes: Writes,
        tables: Tables,
        standby: Standby,
        pace: Pace,
        bus: Bus,
    ) -> None:
        """Create new objects in the workspace's database, and publish `DeploymentPromoted`.

        `writes` are the inserts and copies that wait meanwhile; `pace` limits the copying of rows.
        """
        self._engine = engine
        self._catalog = catalog
        self._entry = workspace
        self._workspace = workspace.record
        self._writes = writes
        self._bus = bus
        self._tables = tables
        self._standby = standby
        self._pace = pace

    def apply(
        self, deployment: Deployment, live: Live, plan: Plan, keep_until: float | None, progress: Progress
    ) -> None:
        """Create a deployment next to the live one and promote it, or leave it in staging if `keep_until` is None.

        The previous deployment is kept until `keep_until` (Unix time in seconds); 0 keeps nothing. If new rows cannot
        be forwarded meanwhile, or tables cannot share files, everything happens while inserts are paused. If this
        raises, the live deployment is unchanged.
        """
        base = self._entry.live
        with self._writes.paused():
            self._standby.discard(base)  # the deployment that was live before this one
            self._tables.collect(base.physical.objects if base else ())  # leftovers of a failed undo
        with self.or_undo(deployment, base):
            backfill = self._backfill(fills(plan.steps) if base else [])
            if self._make(deployment, live, plan, backfill, keep_until, progress):
                self.finish(deployment, live, backfill, keep_until, progress)

    def _backfill(self, found: list[Fill]) -> Backfill:
        return Backfill(self._engine, self._tables, self._workspace.database, found, self._pace)

    def _make(
        self,
        deployment: Deployment,
        live: Live,
        plan: Plan,
        backfill: Backfill,
        keep_until: float | None,
        progress: Progress,
    ) -> bool:
        """Create the deployment's tables and views; return False if it has been promoted already."""
        workspace, base, at_once = self._workspace.id, self._entry.live, keep_until is not None
        made = [item for step in plan.steps for item in step.create]
        moved = {item.name for step in plan.steps if step.move for item in step.create}
        self._catalog.set_status(workspace, deployment.id, DeploymentStatus.CREATING_SCHEMA)
        with self._writes.paused():
            self._writes.require_written()
            self._require_null(plan)
            self._tables.create([item for item in made if not item.is_view], progress)
            self._catalog.set_status(workspace, deployment.id, DeploymentStatus.SCHEMA_READY)
            for step in plan.steps:
                if step.move:
                    self._tables.fill(step.create[0].name, step.move)
            waits = backfill.can_wait and (not at_once or self._standby.can_connect(base, live))
            if waits:
                backfill.cut({item.name for item in made if not item.is_view} - moved)
            else:
                backfill.fill_now(progress)
            self._tables.create([item for item in made if item.is_view], progress)
            if not waits and at_once:
                self.promote(live, keep=False)  # rows cannot be forwarded back, so nothing is kept
                self._remove_rest(live, progress)
                return False
            self._standby.other, self._standby.ready = live, False
            self._standby.connect(base)
            if waits:
                work = {"fills": [fill.as_dict() for fill in backfill.fills], "keep_until": keep_until}
                self._catalog.backfills.begin(workspace, deployment.id, work)
        return True

    def _require_null(self, plan: Plan) -> None:
        """Raise ClickpipeError if a column whose drop loses nothing has got a value since that was planned."""
        for table, column in (found for step in plan.steps for found in step.null):
            if self._engine.storage.has_values(table, column):
                message = f"'{column}' got a value while this deployment was planned. Please deploy again."
                raise ClickpipeError(message, code="deployment_outdated")

    def go_on(self, deployment: Deployment, live: Live, work: Mapping[str, Any], progress: Progress) -> None:
        """Resume a deployment that was filling its tables when the server stopped."""
        backfill = self._backfill([Fill.of(kept) for kept in work["fills"]])
        with self.or_undo(deployment, self._entry.live):
            self.finish(deployment, live, backfill, work["keep_until"], progress)

    def finish(
        self, deployment: Deployment, live: Live, backfill: Backfill, keep_until: float | None, progress: Progress
    ) -> None:
        """Fill the tables, then promote the deployment or leave it in staging. Raises EngineError, ClickpipeError."""
        workspace, backfills, base = self._workspace.id, self._catalog.backfills, self._entry.live
        if backfills.work(workspace, deployment.id) is not None:
            done = backfills.done(workspace, deployment.id)
            save = partial(backfills.set_done, workspace, deployment.id)
            backfill.fill(progress, done, save, self._writes)
        if keep_until is None:
            with self._catalog.transaction():
                self._catalog.set_status(workspace, deployment.id, DeploymentStatus.DATA_READY)
                backfills.end(workspace, deployment.id)
            self._standby.ready = True
            return
        with self._writes.paused():
            self._standby.require_current()
            self.promote(live, keep=keep_until > 0)
            self._standby.other = None
            if base is not None and keep_until:
                self.keep(base, live, keep_until)
            else:
                self._remove_rest(live, progress)

    @contextmanager
    def or_undo(self, deployment: Deployment, base: Live | None) -> Iterator[None]:
        """If the block raises, remove what was created, unless it was promoted."""
        try:
            yield
        except BaseException as error:
            if self._entry.live is base and not self._goes_on(deployment):
                self._standby.other = None
                reason = error.message if isinstance(error, EngineError) else str(error)
                if self._fail(deployment, reason):
                    self._undo(base)
            raise

    def _fail(self, deployment: Deployment, reason: str) -> bool:
        """Record the failure; return False if that cannot be written. Then nothing may be removed.

        On a full disk a promotion may fail and still be in the catalog after a kill. A later write overrides it.
        """
        for wait in (*_AGAIN_AFTER, None):
            try:
                with self._catalog.transaction():
                    self._catalog.set_status(self._workspace.id, deployment.id, DeploymentStatus.FAILED, reason)
                    self._catalog.backfills.end(self._workspace.id, deployment.id)
            except Exception:
                if wait is None:
                    _LOGGER.exception("that deployment %d failed (%s) cannot be written", deployment.id, reason)
                    return False
                time.sleep(wait)
            else:
                return True
        return False

    def _goes_on(self, deployment: Deployment) -> bool:
        """Return whether to leave it as it is, because the server is stopping and can resume it after a start."""
        backfills, workspace = self._catalog.backfills, self._workspace.id
        done = backfills.done(workspace, deployment.id)
        return self._pace.stopped and backfills.work(workspace, deployment.id) is not None and Backfill.can_go_on(done)

    def _undo(self, base: Live | None) -> None:
        """Remove what a failed deployment created; the next deployment removes whatever is left."""
        with self._writes.paused():
            try:
                self._tables.collect(base.physical.objects if base else ())
            except EngineError:
                _LOGGER.exception("could not remove all of a failed deployment")

    def promote(self, live: Live, *, keep: bool) -> None:
        """Make `live` the live deployment."""
        with self._catalog.transaction():
            self._catalog.promote(self._workspace.id, live.deployment_id, keep=keep)
            self._catalog.backfills.end(self._workspace.id, live.deployment_id)
            reconcile(self._catalog, self._workspace.id, live.compiled)
        self._entry.live = live
        self._bus.publish(DeploymentPromoted(self._workspace.id, live))

    def keep(self, before: Live, live: Live, until: float = 0.0) -> None:
        """Keep the previous deployment on standby, `until` that Unix time (0: until it is discarded)."""
        try:
            self._standby.swap(before, live)
            self._catalog.keep_until(self._workspace.id, before.deployment_id, until)
        except (ClickpipeError, EngineError) as error:
            _LOGGER.warning("deployment %d is not kept: %s", before.deployment_id, error)
            self._standby.other = before
            self._standby.discard(live)

    def _remove_rest(self, live: Live, progress: Progress) -> None:
        try:
            self._tables.collect(live.physical.objects, progress)
        except EngineError:  # the new deployment is live; the next deployment or start removes the rest
            _LOGGER.exception("could not remove what the deployment before used")
