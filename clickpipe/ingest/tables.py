"""Who writes to a workspace's tables, and who waits: deployments, copies, imports and events."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from clickpipe.catalog import Live
from clickpipe.engine import EngineError
from clickpipe.ingest.ingester import Ingester


class TableLock:
    """The lock of one workspace's tables, held by a copy, an import, or a deployment while it is applied."""

    def __init__(self, ingester: Ingester, workspace: str) -> None:
        """Start unlocked."""
        self._ingester = ingester
        self._workspace = workspace
        self._lock = threading.Lock()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep deployments, copies and imports away within the block; events go on."""
        with self._lock:
            yield

    def events_paused(self) -> AbstractContextManager[None]:
        """Let events wait within the block: see `Ingester.paused`."""
        return self._ingester.paused(self._workspace)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Keep everything away within the block: rows written while tables are being replaced would be lost."""
        with self._lock, self.events_paused():
            yield

    def require_written(self) -> None:
        """Raise ClickpipeError while earlier inserts have not succeeded."""
        self._ingester.require_written(self._workspace)


class DeployedTables(Protocol):
    """The tables of one deployment of a workspace, for those who write to them."""

    workspace: str

    def live(self) -> Live:
        """Return the deployment. Raises ClickpipeError 404 without one."""
        ...

    def held(self) -> AbstractContextManager[None]:
        """Keep deployments, copies and imports away within the block; events go on."""
        ...

    def events_paused(self) -> AbstractContextManager[None]:
        """Let events wait within the block, which is inside one of `held`."""
        ...

    def replaced(self, data_source: str) -> None:
        """Note that rows of a data source or quarantine were replaced or deleted."""
        ...

    def sever(self, error: EngineError) -> bool:
        """Cut the standby off from new rows if it made an insert fail; return whether."""
        ...
