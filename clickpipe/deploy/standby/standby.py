"""The standby deployment next to the live one: either newer and in staging, or the previous one.

Rows written to the live deployment are forwarded to the standby (`forward.py`), so that it can be promoted at any
moment. Operations on whole tables (replacing or deleting rows) are not forwarded: they make the standby outdated, and
it can no longer be promoted.
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

_NAME = re.compile(r"\w+")  # names in an error message: the view that failed, or a missing table
_LOGGER = logging.getLogger(__name__)


class Standby:
    """A workspace's standby deployment, if it has one."""

    def __init__(self, engine: Engine, catalog: Catalog, workspace: Workspace, tables: Tables) -> None:
        """Start without a standby."""
        self._engine = engine
        self._catalog = catalog
        self._workspace = workspace
        self.tables = tables
        self.other: Live | None = None
        self.ready = True  # it has all its rows, and can be promoted
        self._outdated: dict[int, set[str]] = {}  # as in the catalog, or while that cannot be written

    def staging(self, live: Live | None) -> Live | None:
        """Return the standby if it is newer than the live deployment and ready, else None."""
        newer = self.other is not None and (live is None or self.other.deployment_id > live.deployment_id)
        waits = newer and self.ready
        return self.other if waits else None

    def is_making(self, live: Live, data_source: str) -> bool:
        """Return whether a deployment in progress has another table for a data source: replacing rows breaks it."""
        if self.other is None or self.ready:
            return False
        return live.physical.tables.get(data_source) != self.other.physical.tables.get(data_source)

    def previous(self, live: Live | None) -> Live | None:
        """Return the standby if it is the previous deployment, else None."""
        older = self.other is not None and live is not None and self.other.deployment_id < live.deployment_id
        return self.other if older and self.ready else None

    def objects(self, live: Live | None) -> set[str]:
        """Return the names of the standby's objects, including the views that forward rows to it."""
        if self.other is None:
            return set()
        return {*self.other.physical.objects, *(view.name for view in self._forwards(live))}

    def _forwards(self, live: Live | None) -> list[PhysicalObject]:
        if live is None or self.other is None:
            return []
        return forwards(self._engine, self._workspace.database, live, self.other)

    def can_connect(self, live: Live | None, other: Live) -> bool:
        """Return whether rows of the live deployment can be forwarded to `other`."""
        try:
            if live is not None:
                forwards(self._engine, self._workspace.database, live, other)
        except ClickpipeError:
            return False
        return True

    def connect(self, live: Live | None) -> None:
        """Start forwarding the live deployment's rows to the standby. Raises ClickpipeError, EngineError."""
        self.tables.create(self._forwards(live))

    def connect_again(self, live: Live | None) -> None:
        """After a start, forward rows as before, unless forwarding was cut off (`sever`)."""
        found = self.other and self._catalog.deployment(self._workspace.id, self.other.deployment_id)
        if found and not found.summary.get("severed"):
            self.connect(live)

    def swap(self, before: Live, live: Live) -> None:
        """After a promotion, forward rows from the new live deployment to the previous one. Raises as `connect`."""
        self.other, self.ready = live, True
        self.disconnect(before)
        self.other = before
        self._outdated.pop(before.deployment_id, None)  # it was live until now, so it has everything
        self.connect(live)

    def disconnect(self, live: Live | None) -> None:
        """Stop forwarding rows. Raises EngineError."""
        self.tables.drop(view.name for view in self._forwards(live))

    def outdate(self, live: Live | None, data_source: str) -> None:
        """Mark the standby outdated: rows of a data source were replaced or deleted in the live deployment."""
        if live is None or self.other is None:
            return
        if live.physical.tables.get(data_source) != self.other.physical.tables.get(data_source):
            self._outdated.setdefault(self.other.deployment_id, set()).add(data_source)
            self._catalog.set_outdated(self._workspace.id, self.other.deployment_id, data_source)

    def sever(self, live: Live | None, error: EngineError) -> bool:
        """Cut off forwarding if the standby's objects made an insert into the live deployment fail; return whether.

        The standby must not harm the live deployment. It can no longer be promoted.
        """
        if live is None or self.other is None:
            return False
        own = self.objects(live) - set(live.physical.objects)
        if own.isdisjoint(_NAME.findall(error.message)):
            return False
        self.tables.drop(name for name in self.tables.views() if name in own)
        self._catalog.set_severed(self._workspace.id, self.other.deployment_id, error.message)
        _LOGGER.warning("deployment %d gets no more rows: %s", self.other.deployment_id, error.message)
        return True

    def require_current(self) -> None:
        """Raise ClickpipeError 409 if the standby is outdated or cut off."""
        assert self.other is not None  # noqa: S101 - callers check this first
        found = self._catalog.deployment(self._workspace.id, self.other.deployment_id)
        if found and (reason := found.summary.get("severed")):
            message = (
                f"Deployment {self.other.deployment_id} cannot be promoted: one of its views refused a row, and it has "
                f"had no rows since ({reason}). Discard it and deploy again."
            )
            raise ClickpipeError(message, status=409, code="deployment_outdated")
        names = list(found.summary.get("outdated", [])) if found else []
        names += sorted(self._outdated.get(self.other.deployment_id, set()).difference(names))
        if names:
            message = (
                f"Deployment {self.other.deployment_id} cannot be promoted: rows of {', '.join(names)} were replaced "
                "or deleted in the live one since, which is not passed on. Discard it and deploy again."
            )
            raise ClickpipeError(message, status=409, code="deployment_outdated")

    def discard(self, live: Live | None) -> None:
        """Remove the standby and everything that only it uses. Raises EngineError."""
        gone = self.other
        if gone is None:
            return
        with suppress(ClickpipeError, EngineError):
            self.disconnect(live)
        self.other = None
        self._catalog.set_status(self._workspace.id, gone.deployment_id, DeploymentStatus.DELETED)
        try:
            self.tables.collect(live.physical.objects if live else ())
        except EngineError:  # the next deployment or start removes the rest
            _LOGGER.exception("could not remove what deployment %d used", gone.deployment_id)
