"""Writes rows of service data sources asynchronously: buffered in memory, flushed to ClickHouse once a second.

A crash loses a second's rows, which are about the data, not the data itself. If rows come faster than they are written,
the oldest are dropped, of the workspace that has most.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

import msgspec

from clickpipe.catalog import service_tables
from clickpipe.compiler import SERVED, SERVICE_SOURCES
from clickpipe.engine import Engine, EngineError
from clickpipe.observe.waiting_rows import WaitingRows
from clickpipe.sql import quote_identifier

_LOGGER = logging.getLogger(__name__)
_MOST = 20_000  # buffered rows
_KEPT_DAYS = 30
# Engine and sorting key (time first) of the tables that are not plain MergeTrees sorted by time.
_ENGINES = {
    "pipe_stats": ("SummingMergeTree", "date, pipe_id, pipe_name"),
    "jobs_log": ("ReplacingMergeTree(updated_at)", "created_at, job_id"),
    "datasources_storage": ("AggregatingMergeTree", "timestamp, datasource_id, datasource_name"),
}
_DAILY = (
    "SELECT toDate(start_datetime) AS date, pipe_id, pipe_name, avgState(duration) AS avg_duration_state, "
    "sum(error) AS error_count, count() AS view_count, "
    "quantilesTimingState(0.9, 0.95, 0.99)(toFloat64(duration) * 1000) AS quantile_timing_state, "
    "sum(read_bytes) AS read_bytes_sum, sum(read_rows) AS read_rows_sum, sum(toFloat64(cpu_time)) AS cpu_time_sum"
)


class ServiceLog:
    """Writes rows for all workspaces of an engine. Methods may be called from any thread."""

    def __init__(self, engine: Engine, *, seconds: float = 1.0) -> None:
        """Flush every `seconds`."""
        self._engine = engine
        self._seconds = seconds
        self._rows = WaitingRows(_MOST)
        self._prepared: set[str] = set()
        self._writing = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="service-log", daemon=True)
        self._thread.start()

    def prepare(self, database: str) -> None:
        """Create the tables for a workspace's database, unless done already. Raises EngineError."""
        if database in self._prepared:
            return
        self._engine.storage.create_database(f"{database}_service")
        for name, table in service_tables(database).items():
            source = name.partition(".")[2]
            columns = SERVICE_SOURCES[source]
            engine, keys = _ENGINES.get(source, ("MergeTree", columns.split(" ", 1)[0]))
            moment = keys.split(", ", 1)[0]
            self._engine.execute(
                f"CREATE TABLE IF NOT EXISTS {table} ({columns}) ENGINE = {engine} PARTITION BY toYYYYMM({moment}) "
                f"ORDER BY ({keys}) TTL toDateTime({moment}) + INTERVAL {_KEPT_DAYS} DAY"
            )
        tables = service_tables(database)
        view = f"{quote_identifier(f'{database}_service')}.pipe_stats_view"
        self._engine.execute(
            f"CREATE MATERIALIZED VIEW IF NOT EXISTS {view} TO {tables['tinybird.pipe_stats']} AS {_DAILY} "
            f"FROM {tables['tinybird.pipe_stats_rt']} GROUP BY date, pipe_id, pipe_name"
        )
        self._prepared.add(database)

    def remove(self, database: str) -> None:
        """Drop the tables of a workspace. Raises EngineError."""
        with self._writing:
            self._rows.remove(database)
            self._prepared.discard(database)
            self._engine.storage.drop_database(f"{database}_service")

    def write(self, database: str, name: str, row: Mapping[str, Any]) -> None:
        """Add a row to a workspace's service data source `name`; missing columns get their defaults."""
        assert name in SERVED  # noqa: S101 - only these have tables
        if database:
            self._rows.add(database, f"tinybird.{name}", msgspec.json.encode(row))

    def flush(self) -> None:
        """Write all buffered rows."""
        with self._writing:
            for (database, name), lines in self._rows.take().items():
                try:
                    self.prepare(database)
                    table = service_tables(database)[name]
                    rows = b"\n".join(lines).decode()
                    self._engine.execute(f"INSERT INTO {table} FORMAT JSONEachRow\n{rows}", output="Null")
                except EngineError as error:
                    _LOGGER.warning("%d rows of %s were not written: %s", len(lines), name, error.message)

    def _loop(self) -> None:
        while not self._stop.wait(self._seconds):
            if len(self._rows):
                self.flush()

    def close(self) -> None:
        """Stop, and write all buffered rows."""
        self._stop.set()
        self._thread.join()
        self.flush()
