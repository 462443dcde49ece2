"""Ingesters that are stopped like a process that is killed."""

from __future__ import annotations

import pytest

from clickpipe.ingest import Ingester, WriteAheadLog
from clickpipe.runtime import Instance
from tests.ingest.test_uncertain_views import stop_after


class Stops:
    """Ingesters that are stopped like a process that is killed."""

    def __init__(self, log: WriteAheadLog, instance: Instance) -> None:
        self._log, self._instance = log, instance

    def start(self) -> Ingester:
        engine, catalog = self._instance.engine, self._instance.catalog
        return Ingester(engine, self._log, catalog.positions, self._instance.registry)

    def run(self, inserts: int) -> None:
        """Insert what is in the log, and stop behind so many inserts."""
        with pytest.MonkeyPatch.context() as patch:
            stop_after(self._instance.engine, inserts, patch)
            dead = self.start()
            dead.recover()
            with dead._state:
                dead._stopped = True
                dead._state.wait_for(lambda: not any(c.running for c in dead._channels.values()))
                dead._channels.clear()

    def recover(self) -> None:
        """Insert all that is in the log."""
        again = self.start()
        again.recover()
        again.close()
        assert self._log.unfinished() == []
