"""Events in: log, insert, count, acknowledge. Exactly once, also over a crash.

Requests for one data source that arrive while an insert runs form the next batch: one sync, one
insert for all of them. A quiet client waits for its own insert only.
"""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from clickpipe.catalog import Live
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, EngineError, Settings
from clickpipe.ingest.body import join_lines, row_binary
from clickpipe.ingest.log import Record, Segment, WriteAheadLog

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IngestResult:
    """How many of a request's rows went into the data source, how many into its quarantine."""

    successful_rows: int
    quarantined_rows: int


@dataclass(slots=True)
class _Request:
    import_id: str
    lines: Sequence[bytes]
    size: int
    done: Future[IngestResult] = field(default_factory=Future)


@dataclass(slots=True)
class _Channel:
    """The queue of one data source."""

    workspace: str
    data_source: str
    pending: list[_Request] = field(default_factory=list)
    running: bool = False


class Ingester:
    """Takes requests' lines and makes them rows. One for each server."""

    def __init__(
        self,
        engine: Engine,
        log: WriteAheadLog,
        live: Callable[[str], Live | None],
        *,
        batch_bytes: int = 16 << 20,
        queue_bytes: int = 256 << 20,
        workers: int = 4,
    ) -> None:
        """Insert through `engine`; `live` tells what a workspace's id answers from.

        `batch_bytes` bounds one insert (a larger request is one of its own), `queue_bytes` all that waits.
        """
        self._engine = engine
        self._log = log
        self._live = live
        self._batch_bytes = batch_bytes
        self._queue_bytes = queue_bytes
        self._waiting = 0
        self._channels: dict[tuple[str, str], _Channel] = {}
        self._paused: set[str] = set()
        self._state = threading.Condition()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="ingest")

    def submit(self, workspace: str, data_source: str, lines: Sequence[bytes]) -> Future[IngestResult]:
        """Queue one request's lines; the future gives the counts when its rows can be read.

        Raises ClickpipeError 503 when too much waits. The future raises ClickpipeError when the rows
        could not be written: then none of them was acknowledged.
        """
        request = _Request(str(uuid.uuid4()), lines, sum(map(len, lines)))
        request.done.set_running_or_notify_cancel()  # a client that goes away takes nothing back
        if not lines:
            request.done.set_result(IngestResult(0, 0))
            return request.done
        with self._state:
            if self._waiting and self._waiting + request.size > self._queue_bytes:
                message = "Too much is waiting to be written. Please send it again in a moment."
                raise ClickpipeError(message, status=503, code="overloaded")
            self._waiting += request.size
            channel = self._channels.setdefault((workspace, data_source), _Channel(workspace, data_source))
            channel.pending.append(request)
            self._start(channel)
        return request.done

    def _start(self, channel: _Channel) -> None:
        """Let the channel run, unless it does or is paused (the caller holds the lock)."""
        if channel.pending and not channel.running and channel.workspace not in self._paused:
            channel.running = True
            self._pool.submit(self._run, channel)

    def _run(self, channel: _Channel) -> None:
        while True:
            with self._state:
                batch = self._take(channel)
                if not batch:
                    channel.running = False
                    self._state.notify_all()
                    return
            try:
                results = self._write(channel, batch)
            except BaseException as error:
                self._release(batch)
                for request in batch:
                    request.done.set_exception(error)
                if not isinstance(error, Exception):
                    raise
            else:
                self._release(batch)
                for request, result in zip(batch, results, strict=True):
                    request.done.set_result(result)

    def _release(self, batch: Sequence[_Request]) -> None:
        """Make room, before the answer: the next request may follow at once."""
        with self._state:
            self._waiting -= sum(r.size for r in batch)

    def _take(self, channel: _Channel) -> list[_Request]:
        if channel.workspace in self._paused:
            return []
        size = count = 0
        for request in channel.pending:
            if count and size + request.size > self._batch_bytes:
                break
            size += request.size
            count += 1
        batch, channel.pending = channel.pending[:count], channel.pending[count:]
        return batch

    def _write(self, channel: _Channel, batch: Sequence[_Request]) -> list[IngestResult]:
        live = self._live(channel.workspace)
        landing = live.physical.landings.get(channel.data_source) if live else None
        if live is None or landing is None:
            message = f"The data source '{channel.data_source}' does not exist any more."
            raise ClickpipeError(message, status=404, code="not_found")
        records = [Record(r.import_id, join_lines(r.lines)) for r in batch]
        try:
            segment = self._log.write(channel.workspace, channel.data_source, records)
        except OSError as error:
            _LOGGER.exception("the write-ahead log cannot be written")
            message = f"The events cannot be written to disk: {error.strerror}."
            raise ClickpipeError(message, status=503, code="log_unwritable") from None
        try:
            self._insert(landing, segment, [row_binary(r.import_id, r.lines) for r in batch])
        except EngineError as error:
            self._log.set_aside(segment)
            _LOGGER.error("insert into %s failed: %s", channel.data_source, error.message)  # noqa: TRY400
            message = "The events could not be written: a materialized view or the table refused them."
            raise ClickpipeError(message, status=422, code="insert_failed") from error
        self._log.remove(segment)
        found = self._quarantined(live, channel.data_source, batch)
        counts = [(len(r.lines), found.get(r.import_id, 0)) for r in batch]
        return [IngestResult(lines - bad, bad) for lines, bad in counts]

    def _insert(self, landing: str, segment: Segment, rows: Sequence[bytes]) -> None:
        settings: Settings = {"insert_deduplicate": 1, "insert_deduplication_token": segment.token}
        self._engine.insert(f"{landing} (import_id, line)", rows, format_="RowBinary", settings=settings)

    def _quarantined(self, live: Live, data_source: str, batch: Sequence[_Request]) -> dict[str, int]:
        """Count each request's quarantined rows."""
        table = live.physical.tables[f"{data_source}_quarantine"]
        time = live.compiled.data_sources[data_source].quarantine_time
        sql = (
            f"SELECT c__import_id, count() FROM {table} "
            f"WHERE {time} >= now() - 3600 AND c__import_id IN {{ids:Array(String)}} GROUP BY c__import_id"
        )
        ids = [r.import_id for r in batch]
        body = self._engine.execute(sql, {"ids": ids}, output="JSONCompact").body
        return {name: int(count) for name, count in json.loads(body)["data"]}

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
            rows = [row_binary(r.import_id, r.lines.split(b"\n")) for r in self._log.read(segment)]
            try:
                if rows:
                    self._insert(landing, segment, rows)
            except EngineError:
                kept = self._log.set_aside(segment)
                _LOGGER.exception("events that cannot be inserted are kept in %s", kept)
                continue
            if self._log.whole(segment):
                self._log.remove(segment)
            else:
                kept = self._log.set_aside(segment)
                _LOGGER.warning("a segment of the log that cannot be read to its end is kept in %s", kept)
        return len(segments)

    @contextmanager
    def paused(self, workspace: str) -> Iterator[None]:
        """Hold a workspace's inserts: none runs inside; requests wait and go on afterwards."""
        with self._state:
            self._paused.add(workspace)
            self._state.wait_for(
                lambda: not any(c.running for c in self._channels.values() if c.workspace == workspace)
            )
        self._log.sync(workspace)  # a segment that came back would be new to tables made from now on
        try:
            yield
        finally:
            with self._state:
                self._paused.discard(workspace)
                for channel in self._channels.values():
                    self._start(channel)

    def close(self) -> None:
        """Write what waits, then stop."""
        self._pool.shutdown(wait=True)
