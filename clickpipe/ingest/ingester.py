"""Ingests events: log, insert, count, acknowledge. Exactly once, even across a crash.

Requests for a data source that arrive while others are being written form the next batch, with one sync for all. A
request with `wait` triggers an insert at once and is answered when its rows can be read. Any other is answered when its
lines are durable and counted; they are inserted within `flush_seconds`, many requests together.

What cannot be inserted stays in the log and is retried indefinitely. A waiting request is told after some seconds that
its rows are durable.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial

from clickpipe.catalog import PositionStore, Registry
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine
from clickpipe.ingest.body import Lines
from clickpipe.ingest.bounded import end_all, wait_at_start
from clickpipe.ingest.channel import Batch, Channel, Ingestion, IngestResult, import_id
from clickpipe.ingest.channels import Channels
from clickpipe.ingest.log import WriteAheadLog
from clickpipe.ingest.log_file import Segment, read_positions
from clickpipe.ingest.pools import Pools
from clickpipe.ingest.position import Position, furthest
from clickpipe.ingest.reading import Reading, overloaded
from clickpipe.ingest.rejected import RejectedSegment, list_rejected, wait_until_tried
from clickpipe.ingest.segments import Segments
from clickpipe.ingest.settle import Settler
from clickpipe.ingest.untaken import disk_full
from clickpipe.ingest.writer import Writer
from clickpipe.ingest.writes import NO_STANDBYS, Standbys
from clickpipe.observe import IngestionLog

_LOGGER = logging.getLogger(__name__)
_TRIES = 3  # attempts to get all of a workspace's rows inserted and on disk
_FLUSH_BYTES = 1 << 20  # this many logged bytes are inserted without waiting for more


class Ingester:
    """Accepts requests' lines and turns them into rows. One per server."""

    def __init__(
        self,
        engine: Engine,
        log: WriteAheadLog,
        positions: PositionStore,
        workspaces: Registry,
        *,
        batch_bytes: int = 16 << 20,
        queue_bytes: int = 192 << 20,
        flush_seconds: float = 1.0,
        fail_fast: Collection[str] = (),
        recorder: IngestionLog | None = None,
        standbys: Standbys = NO_STANDBYS,
        workers: int = 4,
    ) -> None:
        """Insert through `engine` into what is live in `workspaces`; `positions` stores sources' positions.

        `batch_bytes` limits one insert (a larger request gets its own); `queue_bytes` limits everything being read or
        waiting, of which one owner among several may take half. `fail_fast` are data sources (`*`: all) that refuse a
        request if any line does not fit. `recorder` records everything; `standbys` is asked when an insert fails:
        see `Writer`. `workers` is the number of writing threads per workspace.
        """
        self._engine, self._log, self._positions = engine, log, positions
        self._writer = Writer(engine, log, positions, workspaces, recorder, standbys)
        self._batch_bytes = batch_bytes
        self._queue_bytes = queue_bytes
        self._flush_seconds = flush_seconds
        self._fail_fast = frozenset(fail_fast)
        self._channels = Channels()
        self.failing, self.require_written = self._channels.failing, self._channels.require_written
        self._paused: set[str] = set()
        self._closing = False
        self._stopped = False  # start no more inserts: the rest stays in the log
        self._state = threading.Condition()
        self._segments = Segments(self._writer, self._state, recorder)
        self._pools = Pools(workers, workspaces)
        self._room = Reading(queue_bytes, self._segments, self._pools)
        self.reading = self._room.reading
        self._clock = threading.Thread(target=self._flush_in_time, name="ingest-clock", daemon=True)
        self._clock.start()
        self._settler = Settler(engine, log, self._insert_again)
        self.settle = self._settler.settle  # after it, no inserted segment of the workspace comes back

    @property
    def waiting_bytes(self) -> int:
        """Return how many bytes of requests wait to be written."""
        return self._segments.waiting_bytes

    def submit(
        self, workspace: str, data_source: str, lines: Lines, *, wait: bool = True, position: Position | None = None
    ) -> Future[IngestResult]:
        """Queue a request's lines; the future returns the counts when its rows can be read.

        Without `wait` it returns as soon as the lines are durable. `position` is the source's position after the lines:
        see `positions`. Raises ClickpipeError 503 if too much is queued. The future raises ClickpipeError if none of
        the rows could be written.
        """
        request = Ingestion(import_id(), lines, wait, position)
        request.done.set_running_or_notify_cancel()  # a client that disconnects cannot cancel it
        if not lines.data:
            request.done.set_result(IngestResult(0, 0))
            return request.done
        with self._state:
            if self._closing:
                message = "The server is stopping. Please send it again in a moment."
                raise ClickpipeError(message, status=503, code="stopping")
            channel = self._channels[workspace, data_source]
            if channel.waiting_bytes > self._queue_bytes:  # inserts fail: do not fill the disk
                raise overloaded()
            self._room.require(workspace, request.size)
            self._segments.wait(workspace, request.size)
            channel.pending.append(request)
            self._start(channel)
        return request.done

    def positions(self, workspace: str, data_source: str, source: str) -> Mapping[str, int]:
        """Return the next number for each partition of a source, after everything that is durable.

        A source sends more of a partition only after the previous request was answered. At its start, and after a
        failure, it continues from here.
        """
        logged = self._channels.logged(workspace, data_source)  # before the catalog: inserts move them there
        inserted = Position(source, self._positions.read(workspace, data_source, source))
        return furthest([inserted], logged)[source]

    def _start(self, channel: Channel) -> None:
        """Start the channel if it has work, unless it runs or is paused (the caller holds the lock)."""
        waits = self._stopped or channel.running or channel.workspace in self._paused
        if (channel.pending or channel.flush) and not waits:
            channel.running = True
            self._pools.submit(channel.workspace, partial(self._run, channel))

    def _run(self, channel: Channel) -> None:
        while True:
            with self._state:
                batch = channel.take(self._batch_bytes) if channel.workspace not in self._paused else []
                flush, channel.flush = channel.flush, False
                if not batch and not flush:
                    channel.running = False
                    self._state.notify_all()
                    return
            self._try_work(channel, batch, flush=flush)
            if channel.staging is not None and channel.staging.joins and channel.open is None:
                self.settle()  # at once: an insert that a kill repeats would be in a Join table twice

    def _try_work(self, channel: Channel, batch: Sequence[Ingestion], *, flush: bool) -> None:
        try:
            self._work(channel, batch, flush=flush)
        except BaseException as error:
            if len(batch) > 1 and isinstance(error, ClickpipeError) and error.code == "unreadable":
                for request in batch:  # only one of them is: handle each on its own
                    self._try_work(channel, [request], flush=False)
                return
            self._segments.fail(channel, batch, error)
            if not isinstance(error, Exception):
                raise

    def _work(self, channel: Channel, batch: Sequence[Ingestion], *, flush: bool) -> None:
        """Log a batch and answer it; insert what is logged if a request waits for it or there is enough."""
        full = channel.open is not None and channel.open.size + sum(r.size for r in batch) > self._batch_bytes
        if flush:
            self._segments.insert_sealed(channel)
        if (flush and channel.is_old(self._flush_seconds, closing=self._closing)) or full:
            self._segments.insert(channel)
        if batch and not self._fail_fast.isdisjoint({"*", channel.data_source}):
            batch = self._segments.without_faulty(channel, batch)
        if not batch:
            return
        certain, asked = self._writer.split(channel, batch)
        if certain:
            self._segments.logged(channel, [request for request, _ in certain], self._writer.log(channel, certain))
        if asked:
            self._segments.logged(channel, asked, self._writer.take(channel, asked))
        opened = channel.open
        if opened is not None and (opened.waiting or self._closing or opened.size >= _FLUSH_BYTES):
            self._segments.insert(channel)

    def _flush_in_time(self) -> None:
        """Trigger inserts of open segments that are old enough and of failed ones that are due."""
        while not self._closing:
            try:
                with self._state:
                    left = self._start_due()
                    if not self._closing:
                        self._state.wait(left)
            except Exception:
                _LOGGER.exception("the clock of ingestion stumbled")
                time.sleep(1.0)

    def _start_due(self) -> float | None:
        """Start channels with a due segment; return the seconds until the next is due, or None."""
        now, left = time.monotonic(), []
        for channel in self._channels.values():
            due = channel.due(self._flush_seconds)
            if due and min(due) <= now and not channel.flush:
                channel.flush = True
                self._start(channel)
            left += [at - now for at in due if at > now]
            if (late := self._segments.answer_late(channel, now)) is not None:
                left.append(late)
        return max(0.001, min(left)) if left else None

    def forget(self, workspace: str) -> None:
        """Drop everything of a deleted workspace, including its log on disk."""
        with self._state:
            for channel in self._channels.of(workspace):
                self._state.wait_for(lambda channel=channel: not channel.running)  # type: ignore[misc]
                del self._channels[workspace, channel.data_source]
            self._pools.forget(workspace)
        self._log.forget(workspace)

    def recover(self) -> int:
        """Start inserting what a stopped server left in its log; return the number of segments."""
        self._settler.settle()
        added = self._insert_again(self._log.unfinished())
        wait_at_start(self._state, self._channels.values)
        self._settler.settle()
        return len(added)

    def _insert_again(self, segments: Sequence[Segment]) -> list[tuple[Channel, Batch]]:
        found = [(segment, read_positions(segment)) for segment in segments if segment.path.exists()]
        for segment, _ in found:
            self._log.check_when_removed(segment)
        with self._state:
            added = [self._channels.add(*one) for one in found]
            for channel, _ in added:
                channel.flush = True
                self._start(channel)
        return added

    def rejected(self, workspace: str) -> list[RejectedSegment]:
        """Return the segments of a workspace that were set aside."""
        return list_rejected(self._log, workspace)

    def replay_rejected(self, workspace: str, data_source: str = "", *, seconds: float = 60.0) -> dict[str, int]:
        """Insert segments that were set aside, of one data source or all, and wait up to `seconds`.

        Returns how many were inserted, and how many are left: not yet done, or without a data source.
        """
        found = [s for s in self._log.rejected(workspace) if data_source in {"", s.data_source}]
        taken = [segment for segment in found if self._writer.takes(workspace, segment.data_source)]
        added = self._insert_again([self._log.take_back(segment) for segment in taken])
        done = wait_until_tried(added, self._state, seconds)
        return {"segments": done, "left": len(found) - done}

    @contextmanager
    def paused(self, workspace: str) -> Iterator[None]:
        """Pause a workspace's inserts within the block, after inserting what is logged; requests wait meanwhile.

        What cannot be inserted now is inserted later. Raises ClickpipeError 503 while the disk is too full.
        """
        with self._state:
            self._paused.add(workspace)
            own = self._channels.of(workspace)
            self._state.wait_for(lambda: not any(c.running for c in own))
        try:
            for _ in range(_TRIES):
                self._segments.insert_all(own)
                if not self.settle(workspace):
                    break
            else:  # tables created in the block would not recognize a segment that comes back
                raise disk_full()
            yield
        finally:
            with self._state:
                self._paused.discard(workspace)
                for channel in self._channels.values():
                    self._start(channel)
                self._state.notify_all()

    def close(self) -> None:
        """Write what is queued, then stop; what cannot be inserted stays in the log. May be called twice."""
        with self._state:
            if self._closing:
                return
            self._closing = True
            for channel in self._channels.values():
                channel.flush = True
                self._start(channel)
            self._state.notify_all()
        self._clock.join()
        ended = end_all(self._engine, self._state, self._channels.values)
        with self._state:
            self._stopped = True
        self._pools.close(wait=ended)
        for channel in self._channels.values():
            for batch in channel.batches():
                self._segments.answer_durable(channel, batch)
        self._settler.close()
        self._writer.close()
