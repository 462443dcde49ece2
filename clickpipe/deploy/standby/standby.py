"""Two deployments side by side: the live one, and one that waits before it (staging) or is kept behind it (previous).

Rows that are written to the live one are passed on to the other (`forward.py`), so that either can be promoted at any
moment. What is done to whole tables of the live one (rows replaced, deleted) is not passed on: the other is outdated
then, and cannot be promoted.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress

from clickpipe.catalog import Catalog, DeploymentStatus, Live, Workspace
from clickpipe.deploy.planning.physical import PhysicalObject
from clickpipe.deploy.standby.forward import forwards
from clickpipe.deploy.tables import Tables
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, EngineError

_NAME = re.compile(r"\w+")  # of a view that rows are pushed to, or a table that is not there
_LOGGER = logging.getLogger(__name__)


class Standby:
    """The deployment beside the live one of a workspace."""

    def __init__(self, engine: Engine, catalog: Catalog, workspace: Workspace, tables: Tables) -> None:
        """Start without one."""
        self._engine = engine
        self._catalog = catalog
        self._workspace = workspace
        self._tables = tables
        self.other: Live | None = None
        self.ready = True  # it has all its rows

    def staging(self, live: Live | None) -> Live | None:
        """Return it if it waits; None for none, and for what was live before."""
        newer = self.other is not None and (live is None or self.other.deployment_id > live.deployment_id)
        waits = newer and self.ready
        return self.other if waits else None

    def is_making(self, live: Live, data_source: str) -> bool:
        """Tell whether a deployment is being made with another table for a data source: replacing rows undoes it."""
        if self.other is None or self.ready:
            return False
        return live.physical.tables.get(data_source) != self.other.physical.tables.get(data_source)

    def previous(self, live: Live | None) -> Live | None:
        """Return it if it was live before; None for none, and for what is to be live."""
        older = self.other is not None and live is not None and self.other.deployment_id < live.deployment_id
        return self.other if older and self.ready else None

    def objects(self, live: Live | None) -> set[str]:
        """Return the names of all it uses, and of the views that pass rows on to it."""
        if self.other is None:
            return set()
        return {*self.other.physical.objects, *(view.name for view in self._forwards(live))}

    def _forwards(self, live: Live | None) -> list[PhysicalObject]:
        if live is None or self.other is None:
            return []
        return forwards(self._engine, self._workspace.database, live, self.other)

    def can_connect(self, live: Live | None, other: Live) -> bool:
        """Tell whether rows of the live deployment can be passed on to another."""
        try:
            if live is not None:
                forwards(self._engine, self._workspace.database, live, other)
        except ClickpipeError:
            return False
        return True

    def connect(self, live: Live | None) -> None:
        """Pass rows of the live deployment on to it from now on. Raises ClickpipeError, EngineError."""
        self._tables.create(self._forwards(live))

    def connect_again(self, live: Live | None) -> None:
        """After a start: pass rows on to it as before, unless one of its views refused a row."""
        found = self.other and self._catalog.deployment(self._workspace.id, self.other.deployment_id)
        if found and not found.summary.get("severed"):
            self.connect(live)

    def swap(self, before: Live, live: Live) -> None:
        """After a promotion: pass rows of what is live now back to what was live before. Raises as `connect`."""
        self.other, self.ready = live, True
        self.disconnect(before)
        self.other = before
        self.connect(live)

    def disconnect(self, live: Live | None) -> None:
        """Pass no more rows on to it. Raises EngineError."""
        self._tables.drop(view.name for view in self._forwards(live))

    def outdate(self, live: Live | None, data_source: str) -> None:
        """Take note that rows of the live deployment's data source were replaced or deleted."""
        if live is None or self.other is None:
            return
        if live.physical.tables.get(data_source) != self.other.physical.tables.get(data_source):
            self._catalog.set_outdated(self._workspace.id, self.other.deployment_id, data_source)

    def sever(self, live: Live | None, error: EngineError) -> bool:
        """Pass no more rows on to it when what is its own made an insert into the live deployment fail; tell whether.

        It cannot be promoted then: live is not to be hurt by what stands beside it.
        """
        if live is None or self.other is None:
            return False
        own = self.objects(live) - set(live.physical.objects)
        if own.isdisjoint(_NAME.findall(error.message)):
            return False
        self._tables.drop(name for name in self._tables.views() if name in own)
        self._catalog.set_severed(self._workspace.id, self.other.deployment_id, error.message)
        _LOGGER.warning("deployment %d gets no more rows: %s", self.other.deployment_id, error.message)
        return True

    def require_current(self) -> None:
        """Raise ClickpipeError 409 when it lacks what was done to the live one."""
        assert self.other is not None  # noqa: S101 - the caller looked
        found = self._catalog.deployment(self._workspace.id, self.other.deployment_id)
        if found and (reason := found.summary.get("severed")):
            message = (
                f"Deployment {self.other.deployment_id} cannot be promoted: one of its views refused a row, and it has "
                f"had no rows since ({reason}). Discard it and deploy again."
            )
            raise ClickpipeError(message, status=409, code="deployment_outdated")
        names = found.summary.get("outdated", []) if found else []
        if names:
            message = (
                f"Deployment {self.other.deployment_id} cannot be promoted: rows of {', '.join(names)} were replaced "
                "or deleted in the live one since, which is not passed on. Discard it and deploy again."
            )
            raise ClickpipeError(message, status=409, code="deployment_outdated")

    def discard(self, live: Live | None) -> None:
        """Remove it, with what only it uses. Raises EngineError."""
        gone = self.other
        if gone is None:
            return
        with suppress(ClickpipeError, EngineError):
            self.disconnect(live)
        self.other = None
        self._catalog.set_status(self._workspace.id, gone.deployment_id, DeploymentStatus.DELETED)
        try:
            self._tables.collect(live.physical.objects if live else ())
        except EngineError:  # the next deployment, or the next start, removes the rest
            _LOGGER.exception("could not remove what deployment %d used", gone.deployment_id)
