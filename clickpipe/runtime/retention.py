"""Removes old ended jobs, old removed deployments, and old rows in quarantine."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from clickpipe.catalog import Catalog, Live
from clickpipe.config import Settings
from clickpipe.engine import Engine, EngineError

_LOGGER = logging.getLogger(__name__)
_EVERY = 3600.0  # seconds


class Retention:
    """Once an hour, removes what is older than the settings allow."""

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        """Run at the first call of `apply`."""
        self._catalog = catalog
        self._history_days = settings.history_days
        self._quarantine_days = settings.quarantine_days
        self._next = 0.0

    def apply(self, engine: Engine, live: Iterable[Live]) -> None:
        """Remove old entries, at most once an hour. A quarantine that cannot be altered keeps its rows for now."""
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
                    try:
                        engine.execute(f"ALTER TABLE {table} DELETE WHERE {old}", output="Null")
                    except EngineError as error:
                        _LOGGER.warning("old rows stay in the quarantine of '%s': %s", name, error.message)
