"""What is done with a batch: into the log and staged, counted, inserted."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from clickpipe.catalog import Live
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, EngineError, Settings
from clickpipe.ingest.channel import Channel, Ingestion, IngestResult, OpenBatch, Staging
from clickpipe.ingest.log import Record, Segment, WriteAheadLog
from clickpipe.ingest.mapping import IN_ONE_BLOCK, STAGED, build_mapping
from clickpipe.observe import IngestionLog

_LOGGER = logging.getLogger(__name__)
# Errors that the next moment may not have: the insert is tried again after these seconds, with the same token.
_PASSING = ("MEMORY_LIMIT_EXCEEDED", "TOO_MANY_PARTS", "TIMEOUT_EXCEEDED", "CANNOT_ALLOCATE_MEMORY")
_AGAIN_AFTER = (0.1, 0.5, 2.0)
_MANY, _WITHIN = 20, 2.0  # so many inserts in so many seconds: look at how many parts there are
_PARTS, _TOO_MANY_PARTS = 150, 300  # in one partition; between them inserts are held back, up to a second
# A segment is one block, whatever its size and whatever blocks it was staged in: the parts of a block that is inserted
# again have the same tokens. It takes an ORDER BY too (`IN_ONE_BLOCK`), and one thread: merging what several read,
# ClickHouse hands on blocks that need no merging as they are. One thread stages, too, so that rows keep their order.
ONE_BLOCK: Settings = {
    "min_insert_block_size_rows": 1 << 40,
    "min_insert_block_size_bytes": 1 << 50,
    "max_block_size": 1 << 30,
    "max_threads": 1,
    "max_insert_threads": 1,
}
ONE_THREAD: Settings = {key: value for key, value in ONE_BLOCK.items() if key != "max_block_size"}

_Failure = (EngineError, OSError)


class Writer:
    """Writes batches of channels; a channel is used by one thread at a time."""

    def __init__(
        self,
        engine: Engine,
        log: WriteAheadLog,
        live: Callable[[str], Live | None],
        told: IngestionLog | None = None,
        relieve: Callable[[str, EngineError], bool] = lambda _workspace, _error: False,
    ) -> None:
        """Insert through `engine`; `live` tells what a workspace's id answers from, `told` is told of inserts.

        `relieve` is asked whether it has removed what made an insert into a workspace fail.
        """
        self._relieve = relieve
        self._told = told
        self._engine = engine
        self._log = log
        self._live = live
        self._disk = ThreadPoolExecutor(4, thread_name_prefix="log")
        engine.execute(f"CREATE DATABASE IF NOT EXISTS {STAGED} ENGINE = Memory")

    def take(self, channel: Channel, batch: Sequence[Ingestion]) -> dict[str, IngestResult]:
        """Log requests; return by their ids how many lines of each fit, and how many go to quarantine.

        Raises ClickpipeError 404 for a data source that is gone, 503 when the disk refuses, 422 when ClickHouse does.
        """
        staging = self._staging_now(channel)
        logged = self._disk.submit(self._append, channel, [Record(r.import_id, r.lines.data) for r in batch])
        lines = [(r.import_id, r.lines.data) for r in batch]
        staging.stale = not self._try_stage(staging, lines) or staging.stale
        self._await_log(channel, staging, logged)
        assert channel.open is not None  # noqa: S101 - it was just appended to
        alone = len(batch) == 1 and not channel.open.size
        channel.open.size += sum(r.size for r in batch)
        try:
            if staging.stale:
                self._stage_again(channel.open.segment.segment, staging)
            counts = self._counts(staging, [r.import_id for r in batch], alone=alone)
        except _Failure as error:
            raise self._refused(channel, error) from error
        channel.open.good += sum(c.successful_rows for c in counts.values())
        channel.open.bad += sum(c.quarantined_rows for c in counts.values())
        return counts

    def screen(self, channel: Channel, batch: Sequence[Ingestion]) -> dict[str, str]:
        """Return, for requests with a line that does not fit, what is wrong with it; nothing is logged.

        Raises as `take` does.
        """
        staging = self._staging_now(channel)
        ids = [r.import_id for r in batch]
        try:
            self._stage(staging, [(r.import_id, r.lines.data) for r in batch])
            body = self._engine.execute(staging.mapping.reasons, {"ids": ids}, output="JSONCompact").body
        except _Failure as error:
            raise _not_now(channel, error) from error
        finally:
            staging.stale = True  # by lines that are not in the log
        return dict(json.loads(body)["data"])

    def _append(self, channel: Channel, records: Sequence[Record]) -> None:
        if channel.open is None:
            channel.open = OpenBatch(self._log.open(channel.workspace, channel.data_source))
        channel.open.segment.append(records)

    def _await_log(self, channel: Channel, staging: Staging, logged: Future[None]) -> None:
        try:
            logged.result()
        except OSError as error:
            _LOGGER.exception("the write-ahead log cannot be written")
            staging.stale = True  # by lines that are not in the log
            if channel.open is not None and not channel.open.size:
                channel.open.segment.close()
                self._log.remove(channel.open.segment.segment)
                channel.open = None
            message = f"The events cannot be written to disk: {error.strerror}."
            raise ClickpipeError(message, status=503, code="log_unwritable") from None

    def _staging_now(self, channel: Channel) -> Staging:
        try:
            return self._staging(channel)
        except EngineError as error:
            raise _not_now(channel, error) from error

    def _staging(self, channel: Channel) -> Staging:
        """Return how lines are staged now. Raises ClickpipeError 404."""
        live = self._live(channel.workspace)
        source = live.compiled.data_sources.get(channel.data_source) if live else None
        if live is None or source is None or not source.ingestible:
            message = f"The data source '{channel.data_source}' does not exist any more."
            raise ClickpipeError(message, status=404, code="not_found")
        staging = channel.staging
        if staging is None or staging.live is not live:
            tables = live.physical.tables
            name = channel.data_source
            mapping = build_mapping(source, channel.workspace, tables[name], tables[f"{name}_quarantine"])
            if staging is not None and staging.mapping.table != mapping.table:
                self._engine.execute(f"DROP TABLE IF EXISTS {staging.mapping.table}")
            self._engine.execute(mapping.create)
            staging = channel.staging = Staging(live, mapping, stale=staging is None or staging.stale)
        return staging

    def _try_stage(self, staging: Staging, lines: Sequence[tuple[str, bytes]]) -> bool:
        if staging.stale:
            return False
        try:
            self._stage(staging, lines)
        except _Failure:
            _LOGGER.exception("lines could not be staged in %s", staging.mapping.table)
            return False
        return True

    def _stage(self, staging: Staging, lines: Sequence[tuple[str, bytes]]) -> None:
        with self._engine.lines(lines) as source:
            self._engine.execute(staging.mapping.fill(source), output="Null", settings=ONE_THREAD)

    def _stage_again(self, segment: Segment, staging: Staging) -> None:
        """Stage what the log has, and nothing else."""
        self._engine.execute(f"TRUNCATE TABLE {staging.mapping.table}", output="Null")
        staging.stale = True
        lines = [(r.import_id, r.lines) for r in self._log.read(segment)]
        if lines:
            self._stage(staging, lines)
        staging.stale = False

    def _counts(self, staging: Staging, ids: Sequence[str], *, alone: bool) -> dict[str, IngestResult]:
        mapping = staging.mapping
        if alone:
            body = self._engine.execute(mapping.count_all, output="JSONCompact", settings={"max_threads": 1}).body
            ((good, bad),) = json.loads(body)["data"]
            return {ids[0]: IngestResult(int(good), int(bad))}
        body = self._engine.execute(mapping.count, {"ids": ids}, output="JSONCompact").body
        return {name: IngestResult(int(good), int(bad)) for name, good, bad in json.loads(body)["data"]}

    def insert(self, channel: Channel, inserted: Callable[[], None] = lambda: None) -> None:
        """Insert the open segment, call `inserted`, remove it from the log.

        Raises ClickpipeError 422 when it is refused: it is kept aside then.
        """
        batch, staging = channel.open, channel.staging
        if batch is None or staging is None:
            return
        batch.segment.close()
        started = time.monotonic()
        try:
            if staging.stale:
                self._stage_again(batch.segment.segment, staging)
            segment = batch.segment.segment
            self._insert_relieved(channel.workspace, staging, segment, good=batch.good, bad=batch.bad)
        except _Failure as error:
            raise self._refused(channel, error) from error
        channel.open = None
        self._tell(channel, batch, time.monotonic() - started)
        inserted()
        self._done(batch.segment.segment, staging)

    def _tell(self, channel: Channel, batch: OpenBatch, seconds: float, error: str = "") -> None:
        if self._told is None:
            return
        good, bad = (0, 0) if error else (batch.good, batch.bad)
        counts = {"rows": good, "rows_quarantine": bad, "written_rows": good, "written_rows_quarantine": bad}
        more = {"blocks_ids": [batch.segment.segment.token], "read_bytes": batch.size, **counts}
        self._told.operation(channel.workspace, channel.data_source, "append-hfi", seconds=seconds, error=error, **more)

    def _done(self, segment: Segment, staging: Staging) -> None:
        try:
            self._log.remove(segment)
            self._engine.execute(f"TRUNCATE TABLE {staging.mapping.table}", output="Null")
        except OSError:
            _LOGGER.exception("%s is not removed from the log", segment.path)
            staging.stale = True
        except EngineError:
            _LOGGER.exception("what is staged in %s is not removed", staging.mapping.table)
            staging.stale = True

    def _refused(self, channel: Channel, error: Exception) -> ClickpipeError:
        batch, channel.open = channel.open, None
        if batch is not None:
            batch.segment.close()
            kept = self._log.set_aside(batch.segment.segment)
            told = f"; {batch.acknowledged} rows of it were acknowledged" if batch.acknowledged else ""
            _LOGGER.error("insert into %s failed: %s; kept in %s%s", channel.data_source, error, kept, told)
            self._tell(channel, batch, 0.0, str(error))
        if channel.staging is not None:
            channel.staging.stale = True
        message = "The events could not be written: a materialized view or the table refused them."
        return ClickpipeError(message, status=422, code="insert_failed")

    def _insert_relieved(self, workspace: str, staging: Staging, segment: Segment, *, good: int, bad: int) -> None:
        """Insert; once more, with the same token, where what refused it does not belong to the live deployment."""
        try:
            self._insert(staging, segment, good=good, bad=bad)
        except EngineError as error:
            if not self._relieve(workspace, error):
                raise
            self._insert(staging, segment, good=good, bad=bad)

    def _insert(self, staging: Staging, segment: Segment, *, good: int, bad: int) -> None:
        settings: Settings = {**ONE_BLOCK, "insert_deduplicate": 1, "insert_deduplication_token": segment.token}
        statements = [staging.mapping.good] if good else []
        statements += [staging.mapping.bad] if bad else []
        for statement in statements:
            self._insert_once(statement + IN_ONE_BLOCK, settings)

    def _insert_once(self, statement: str, settings: Settings) -> None:
        """Run an insert; several times where it fails for what passes: with its token it is made once."""
        for wait in (*_AGAIN_AFTER, None):
            try:
                self._engine.execute(statement, output="Null", settings=settings)
            except EngineError as error:
                if wait is None or not error.name.startswith(_PASSING):
                    raise
                _LOGGER.warning("an insert is tried again: %s", error.message)
                time.sleep(wait)
            else:
                return

    def pause(self, channel: Channel) -> float:
        """Return for how many seconds the next insert is held back, so that parts are merged faster than made."""
        now = time.monotonic()
        channel.recent.append(now)
        if len(channel.recent) <= _MANY:
            return 0.0
        first = channel.recent.popleft()
        live = self._live(channel.workspace)
        if now - first > _WITHIN or live is None:
            return 0.0
        channel.recent.clear()
        database = next(iter(live.physical.tables.values())).split(".")[0].strip("`")
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
        channels: dict[tuple[str, str], Channel] = {}
        for segment in segments:
            key = (segment.workspace, segment.data_source)
            channel = channels.setdefault(key, Channel(*key))
            try:
                staging = self._staging(channel)
                self._stage_again(segment, staging)
                # as it may be, so that nothing is left out
                self._insert_relieved(channel.workspace, staging, segment, good=1, bad=1)
                self._engine.execute(f"TRUNCATE TABLE {staging.mapping.table}", output="Null")
            except ClickpipeError:
                kept = self._log.set_aside(segment)
                _LOGGER.warning("events for a data source that is gone are kept in %s", kept)
            except _Failure:
                kept = self._log.set_aside(segment)
                _LOGGER.exception("events that cannot be inserted are kept in %s", kept)
            else:
                if (rest := self._log.set_rest_aside(segment)) is not None:
                    level = logging.INFO if rest.suffix == ".torn" else logging.WARNING
                    _LOGGER.log(level, "a segment of the log that cannot be read to its end is kept in %s", rest)
        return len(segments)

    def close(self) -> None:
        """Let go of the threads."""
        self._disk.shutdown(wait=True)


def _not_now(channel: Channel, error: Exception) -> ClickpipeError:
    _LOGGER.error("lines for %s cannot be staged: %s", channel.data_source, error)
    message = "The events cannot be taken now. Please send them again in a moment."
    return ClickpipeError(message, status=503, code="engine_unavailable")
