"""Warns about tables with very many partitions, in the log and in `/v0/ready`."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from clickpipe.catalog import Live
from clickpipe.engine import Engine, EngineError

_LOGGER = logging.getLogger(__name__)
MANY = 1000
_EVERY = 60.0  # seconds


class Partitions:
    """Checks the number of partitions from time to time."""

    def __init__(self) -> None:
        """Check at the first call of `look`."""
        self._next = 0.0
        self._told: dict[str, int] = {}

    def look(self, engine: Engine, live: Mapping[str, Live]) -> None:
        """Log a warning for each data source with too many partitions, and again each time the number doubles."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _EVERY
        for table, count, name, key in crowded(engine, live):
            if count >= 2 * self._told.get(table, 0):
                self._told[table] = count
                _LOGGER.warning(
                    "data source %s has %d partitions by its key %s: inserts, merges and starts get slow",
                    name,
                    count,
                    key,
                )


def crowded(engine: Engine, live: Mapping[str, Live]) -> list[tuple[str, int, str, str]]:
    """Return the tables with very many partitions: (table, partitions, data source, partition key)."""
    try:
        crowds = engine.storage.crowded("ws_", MANY)
    except (EngineError, RuntimeError):
        return []
    found = []
    for crowd in crowds:
        for one in live.values():
            for name, source in one.compiled.data_sources.items():
                if one.physical.tables.get(name) == crowd.table:
                    found.append((crowd.table, crowd.partitions, name, source.engine.option("PARTITION_KEY")))
    return found
