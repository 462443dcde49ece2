"""The tables of a workspace's live deployment and of the one in staging, for those who write to them."""

from __future__ import annotations

from contextlib import AbstractContextManager

from clickpipe.bus import Bus, RowsReplaced
from clickpipe.catalog import Live, Registered
from clickpipe.deploy import Standbys
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import EngineError
from clickpipe.ingest import TableLock
from clickpipe.query import QueryService


class LiveTables:
    """The tables of the live deployment. `ingest.DeployedTables` says what each method is for."""

    def __init__(
        self, workspace: Registered, lock: TableLock, queries: QueryService, standbys: Standbys, bus: Bus
    ) -> None:
        """Write to the deployment that `queries` reads, and publish `RowsReplaced`."""
        self.workspace = workspace.record.id
        self._lock = lock
        self._queries = queries
        self._standbys = standbys
        self._bus = bus

    def live(self) -> Live:
        """Return the live deployment. Raises ClickpipeError 404 without one."""
        return self._queries.live()

    def held(self) -> AbstractContextManager[None]:
        """Keep deployments, copies and imports away within the block."""
        return self._lock.held()

    def events_paused(self) -> AbstractContextManager[None]:
        """Let events wait within the block."""
        return self._lock.events_paused()

    def paused(self) -> AbstractContextManager[None]:
        """Keep everything else away within the block: deployments, copies, imports and events."""
        return self._lock.paused()

    def require_writable(self, table: str) -> None:
        """Raise ClickpipeError if this deployment may not write to a table: it may."""

    def is_changing(self, data_source: str) -> bool:
        """Return whether a deployment in progress has another table for a data source."""
        return self._standbys.is_making(self.workspace, data_source)

    def replaced(self, data_source: str) -> None:
        """Publish that rows of a data source or quarantine were replaced or deleted."""
        self._bus.publish(RowsReplaced(self.workspace, data_source))

    def sever(self, error: EngineError) -> bool:
        """Cut the standby off from new rows if one of its views made an insert fail; return whether."""
        return self._standbys.sever(self.workspace, error)


class StagingTables(LiveTables):
    """The tables of the deployment in staging, except those that it shares with the live one."""

    def __init__(
        self, workspace: Registered, lock: TableLock, queries: QueryService, standbys: Standbys, bus: Bus
    ) -> None:
        """Write to the deployment that `queries` reads."""
        super().__init__(workspace, lock, queries, standbys, bus)
        self._entry = workspace

    def require_writable(self, table: str) -> None:
        """Raise ClickpipeError 409 for a table that the live deployment also uses."""
        live, staging = self._entry.live, self.live()
        if live is not None and live.physical.tables.get(table) == staging.physical.tables.get(table):
            message = (
                f"'{table}' is the same in staging and in the live deployment: what is written to it is live. "
                "Write to the live one, without __tb__deployment=staging."
            )
            raise ClickpipeError(message, status=409, code="shared_with_live")

    def is_changing(self, _data_source: str) -> bool:
        """Return False: no schedule starts copies in staging."""
        return False

    def replaced(self, _data_source: str) -> None:
        """Publish nothing: nothing is forwarded from staging."""

    def sever(self, _error: EngineError) -> bool:
        """Return False: nothing is forwarded from staging."""
        return False
