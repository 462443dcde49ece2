"""The standby deployments of all workspaces, for those who write to the live ones."""

from __future__ import annotations

from clickpipe.bus import RowsReplaced
from clickpipe.catalog import Catalog, Registry, Workspace
from clickpipe.deploy.standby.standby import Standby
from clickpipe.deploy.tables import Tables
from clickpipe.engine import Engine, EngineError


class Standbys:
    """One `Standby` per workspace. Methods may be called from any thread."""

    def __init__(self, engine: Engine, catalog: Catalog, workspaces: Registry) -> None:
        """Start empty; `workspaces` knows what is live."""
        self._engine = engine
        self._catalog = catalog
        self._workspaces = workspaces
        self._by_id: dict[str, Standby] = {}

    def add(self, record: Workspace) -> Standby:
        """Return the standby of a new or restored workspace."""
        tables = Tables(self._engine, record.database)
        made = self._by_id[record.id] = Standby(self._engine, self._catalog, record, tables)
        return made

    def remove(self, workspace: str) -> None:
        """Forget a workspace."""
        self._by_id.pop(workspace, None)

    def sever(self, workspace: str, error: EngineError) -> bool:
        """Cut a workspace's standby off from new rows if one of its views made an insert fail; return whether."""
        found = self._by_id.get(workspace)
        return found is not None and found.sever(self._workspaces.live(workspace), error)

    def is_making(self, workspace: str, data_source: str) -> bool:
        """Return whether a deployment in progress has another table for a data source of a workspace."""
        found, live = self._by_id.get(workspace), self._workspaces.live(workspace)
        return found is not None and live is not None and found.is_making(live, data_source)

    def rows_replaced(self, event: RowsReplaced) -> None:
        """Mark a standby outdated: it does not get what happened to a whole table of the live deployment."""
        if (found := self._by_id.get(event.workspace)) is not None:
            found.outdate(self._workspaces.live(event.workspace), event.data_source)
