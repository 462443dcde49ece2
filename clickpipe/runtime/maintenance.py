"""What a server does about once a second besides answering: it removes what is due, and looks after its tables."""

from __future__ import annotations

import logging
import threading

from clickpipe.runtime.partitions import Partitions
from clickpipe.runtime.retention import Retention
from clickpipe.runtime.services import Services
from clickpipe.runtime.workspaces import Workspaces

_LOGGER = logging.getLogger(__name__)


class Maintenance:
    """A thread that goes through all tasks on every tick. A task that fails does not hold up the others."""

    def __init__(self, services: Services, workspaces: Workspaces, *, tick: float = 1.0) -> None:
        """Do nothing until `start`."""
        self._services = services
        self._workspaces = workspaces
        self._tick = tick
        self._retention = Retention(services.catalog, services.settings)
        self.partitions = Partitions()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="maintenance", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def run(self) -> None:
        """Go through all tasks once."""
        for task in (
            self._services.ingestion_log.tell_past,
            self._expire_workspaces,
            self._expire_deployments,
            self._look_at_partitions,
            self._remove_old,
        ):
            try:
                task()
            except Exception:
                _LOGGER.exception("maintenance: %s failed", task.__name__.strip("_"))

    def _expire_workspaces(self) -> None:
        self._workspaces.expire(self._workspaces.removals.start)

    def _expire_deployments(self) -> None:
        for workspace in self._workspaces:
            workspace.deployments.expire_previous()

    def _look_at_partitions(self) -> None:
        self.partitions.look(self._services.engine, self._services.registry.all_live())

    def _remove_old(self) -> None:
        self._retention.apply(self._services.engine, self._services.registry.all_live().values())

    def _loop(self) -> None:
        while not self._stop.wait(self._tick):
            self.run()

    def close(self) -> None:
        """Stop the thread, and wait for it."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
