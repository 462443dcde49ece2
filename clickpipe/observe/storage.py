"""Reports each data source's size from time to time: `datasources_storage`."""

from __future__ import annotations

import logging
import threading
import time

from clickpipe.catalog import Registry, resource_id
from clickpipe.engine import Engine, EngineError, Extent, split_table
from clickpipe.observe.log import ServiceLog

_LOGGER = logging.getLogger(__name__)
_EVERY = 600.0  # seconds


class StorageLog:
    """Writes a row per data source every ten minutes and on demand."""

    def __init__(self, engine: Engine, log: ServiceLog, workspaces: Registry) -> None:
        """Write to `log` what the tables of the live deployments of `workspaces` hold."""
        self._engine = engine
        self._log = log
        self._workspaces = workspaces
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="storage-log", daemon=True)
        self._thread.start()

    def write(self) -> None:
        """Write the current sizes."""
        now = int(time.time())
        for workspace, live in self._workspaces.all_live().items():
            try:
                extents = self._engine.storage.extents(self._workspaces.database(workspace))
            except EngineError as error:
                _LOGGER.warning("what data sources hold is not known: %s", error.message)
                return
            held = {name: extents.get(split_table(table)[1], Extent()) for name, table in live.physical.tables.items()}
            for name in live.compiled.data_sources:
                good, bad = held[name], held.get(f"{name}_quarantine", Extent())
                row = {
                    "datasource_id": resource_id(workspace, "datasource", name),
                    "datasource_name": name,
                    "timestamp": now,
                    "bytes": good.size,
                    "rows": good.rows,
                    "bytes_quarantine": bad.size,
                    "rows_quarantine": bad.rows,
                }
                self._log.write(self._workspaces.database(workspace), "datasources_storage", row)

    def _loop(self) -> None:
        while not self._stop.wait(_EVERY):
            self.write()

    def close(self) -> None:
        """Stop."""
        self._stop.set()
        self._thread.join()
