"""What is removed when it is old: jobs that have ended, deployments that are gone, rows in quarantine."""

from __future__ import annotations

import time
from collections.abc import Iterable

from clickpipe.catalog import Catalog, Live
from clickpipe.config import Settings
from clickpipe.engine import Engine

_EVERY = 3600.0  # seconds


class Retention:
    """Removes what the settings keep for some days, once an hour."""

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        """Begin at the first look."""
        self._catalog = catalog
        self._history_days = settings.history_days
        self._quarantine_days = settings.quarantine_days
        self._next = 0.0

    def apply(self, engine: Engine, live: Iterable[Live]) -> None:
        """Remove what is old, if it is time to. Raises EngineError."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _EVERY
        if self._history_days:
            self._catalog.forget(self._history_days)
        if self._quarantine_days:
            for one in live:
                for name, source in one.compiled.data_sources.items():
                    table = one.physical.tables[f"{name}_quarantine"]
                    old = f"{source.quarantine_time} < now() - INTERVAL {int(self._quarantine_days)} DAY"
                    engine.execute(f"ALTER TABLE {table} DELETE WHERE {old}", output="Null")
