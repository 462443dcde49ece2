"""What is done with a batch: into the log, into the engine, counted."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence

from clickpipe.catalog import Live
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, EngineError, Settings
from clickpipe.ingest.channel import Channel, Ingestion, OpenBatch
from clickpipe.ingest.log import Record, Segment, WriteAheadLog
from clickpipe.ingest.mapping import count_select

_LOGGER = logging.getLogger(__name__)
# Errors that the next moment may not have: the insert is tried again after these seconds, with the same token.
_PASSING = ("MEMORY_LIMIT_EXCEEDED", "TOO_MANY_PARTS", "TIMEOUT_EXCEEDED", "CANNOT_ALLOCATE_MEMORY")
_AGAIN_AFTER = (0.1, 0.5, 2.0)
_MANY, _WITHIN = 20, 2.0  # so many inserts in so many seconds: look at how many parts there are
_PARTS, _TOO_MANY_PARTS = 150, 300  # in one partition; between them inserts are held back, up to a second


class Writer:
    """Writes batches of channels; a channel is used by one thread at a time."""

    def __init__(self, engine: Engine, log: WriteAheadLog, live: Callable[[str], Live | None]) -> None:
        """Insert through `engine`; `live` tells what a workspace's id answers from."""
        self._engine = engine
        self._log = log
        self._live = live

    def append(self, channel: Channel, batch: Sequence[Ingestion]) -> None:
        """Log requests. Raises ClickpipeError 404 for a data source that is gone, 503 when the disk refuses."""
        self._landing(channel)
        records = [Record(r.import_id, r.lines.data) for r in batch]
        try:
            if channel.open is None:
                channel.open = OpenBatch(self._log.open(channel.workspace, channel.data_source))
            channel.open.segment.append(records)
        except OSError as error:
            _LOGGER.exception("the write-ahead log cannot be written")
            if channel.open is not None and not channel.open.lines:
                self._drop(channel.open)
                channel.open = None
            message = f"The events cannot be written to disk: {error.strerror}."
            raise ClickpipeError(message, status=503, code="log_unwritable") from None
        channel.open.lines += [(r.import_id, r.lines) for r in records]
        channel.open.size += sum(r.size for r in batch)

    def _drop(self, batch: OpenBatch) -> None:
        batch.segment.close()
        self._log.remove(batch.segment.segment)

    def count(self, channel: Channel, batch: Sequence[Ingestion]) -> dict[str, int]:
        """Return how many lines of each logged request will go to quarantine. Raises EngineError, OSError."""
        live, _ = self._landing(channel)
        source = live.compiled.data_sources[channel.data_source]
        with self._engine.lines([(r.import_id, r.lines.data) for r in batch]) as lines:
            body = self._engine.execute(count_select(source, lines), output="JSONCompact").body
        return {name: int(bad) for name, bad in json.loads(body)["data"]}

    def insert(self, channel: Channel) -> None:
        """Insert the open segment. Raises ClickpipeError 422 when it is refused: it is kept aside then."""
        batch, channel.open = channel.open, None
        if batch is None:
            return
        batch.segment.close()
        segment = batch.segment.segment
        try:
            _, landing = self._landing(channel)
            self._insert(landing, segment, batch.lines)
        except (EngineError, ClickpipeError, OSError) as error:
            kept = self._log.set_aside(segment)
            told = f"; {batch.acknowledged} rows of it were acknowledged" if batch.acknowledged else ""
            _LOGGER.error("insert into %s failed: %s; kept in %s%s", channel.data_source, error, kept, told)  # noqa: TRY400
            message = "The events could not be written: a materialized view or the table refused them."
            raise ClickpipeError(message, status=422, code="insert_failed") from error
        self._log.remove(segment)

    def _landing(self, channel: Channel) -> tuple[Live, str]:
        live = self._live(channel.workspace)
        landing = live.physical.landings.get(channel.data_source) if live else None
        if live is None or landing is None:
            message = f"The data source '{channel.data_source}' does not exist any more."
            raise ClickpipeError(message, status=404, code="not_found")
        return live, landing

    def _insert(self, landing: str, segment: Segment, lines: Sequence[tuple[str, bytes]]) -> None:
        settings: Settings = {"insert_deduplicate": 1, "insert_deduplication_token": segment.token}
        for wait in (*_AGAIN_AFTER, None):
            try:
                with self._engine.lines(lines) as source:
                    statement = f"INSERT INTO {landing} (import_id, line) SELECT import_id, line FROM {source}"
                    self._engine.execute(statement, output="Null", settings=settings)
            except EngineError as error:
                if wait is None or not error.name.startswith(_PASSING):
                    raise
                _LOGGER.warning("insert into %s is tried again: %s", landing, error.message)
                time.sleep(wait)
            else:
                return

    def quarantined(self, channel: Channel, batch: Sequence[Ingestion]) -> dict[str, int]:
        """Count the quarantined rows of requests that were inserted."""
        live, _ = self._landing(channel)
        table = live.physical.tables[f"{channel.data_source}_quarantine"]
        moment = live.compiled.data_sources[channel.data_source].quarantine_time
        sql = (
            f"SELECT c__import_id, count() FROM {table} "
            f"WHERE {moment} >= now() - 3600 AND c__import_id IN {{ids:Array(String)}} GROUP BY c__import_id"
        )
        ids = [r.import_id for r in batch]
        body = self._engine.execute(sql, {"ids": ids}, output="JSONCompact").body
        return {name: int(count) for name, count in json.loads(body)["data"]}

    def pause(self, channel: Channel) -> float:
        """Return for how many seconds the next insert is held back, so that parts are merged faster than made."""
        now = time.monotonic()
        channel.recent.append(now)
        if len(channel.recent) <= _MANY:
            return 0.0
        first = channel.recent.popleft()
        if now - first > _WITHIN:
            return 0.0
        live = self._live(channel.workspace)
        database = next(iter(live.physical.tables.values())).split(".")[0].strip("`") if live else ""
        sql = (
            "SELECT max(parts) FROM (SELECT count() AS parts FROM system.parts "
            "WHERE active AND database = {database:String} GROUP BY table, partition)"
        )
        body = self._engine.execute(sql, {"database": database}, output="JSONCompact").body
        parts = int(json.loads(body)["data"][0][0])
        return min(1.0, max(0.0, (parts - _PARTS) / (_TOO_MANY_PARTS - _PARTS)))

    def recover(self) -> int:
        """Insert what a stopped server left in its log; return how many segments that were."""
        segments = self._log.unfinished()
        for segment in segments:
            live = self._live(segment.workspace)
            landing = live.physical.landings.get(segment.data_source) if live else None
            if landing is None:
                kept = self._log.set_aside(segment)
                _LOGGER.warning("events for a data source that is gone are kept in %s", kept)
                continue
            lines = [(r.import_id, r.lines) for r in self._log.read(segment)]
            try:
                if lines:
                    self._insert(landing, segment, lines)
            except (EngineError, OSError):
                kept = self._log.set_aside(segment)
                _LOGGER.exception("events that cannot be inserted are kept in %s", kept)
                continue
            if (rest := self._log.set_rest_aside(segment)) is not None:
                level = logging.INFO if rest.suffix == ".torn" else logging.WARNING
                _LOGGER.log(level, "a segment of the log that cannot be read to its end is kept in %s", rest)
        return len(segments)
