"""Events in: log, insert, count, acknowledge. Exactly once, also over a crash.

Requests for one data source that arrive while others are written form the next batch: one sync for all of them. A
request that waits is answered when its rows can be read, and has what is logged inserted at once. One that does not is
answered when its lines are durable and counted; they are inserted within `flush_seconds`, many requests together.

What cannot be inserted stays in the log and is tried again, without end. One that waits for it is told after some
seconds that its rows are durable.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial

from clickpipe.catalog import Live, PositionStore
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, EngineError
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
from clickpipe.observe import IngestionLog

_LOGGER = logging.getLogger(__name__)
_TRIES = 3  # to have all of a workspace inserted, and on disk
_FLUSH_BYTES = 1 << 20  # logged lines that are inserted without waiting for more


class Ingester:
    """Takes requests' lines and makes them rows. One for each server."""

    def __init__(
        self,
        engine: Engine,
        log: WriteAheadLog,
        positions: PositionStore,
        live: Callable[[str], Live | None],
        *,
        batch_bytes: int = 16 << 20,
        queue_bytes: int = 192 << 20,
        flush_seconds: float = 1.0,
        fail_fast: Collection[str] = (),
        recorder: IngestionLog | None = None,
        sever: Callable[[str, EngineError], bool] = lambda _workspace, _error: False,
        workers: int = 4,
        owner: Callable[[str], str] = str,
    ) -> None:
        """Insert through `engine`; `positions` keeps where sources are, `live` what a workspace's id answers from.

        `batch_bytes` bounds one insert (a larger request is one of its own), `queue_bytes` all that is being read or
        waits, half of it one owner among several; `fail_fast` are the data sources (`*`: all) that refuse a request
        with a line that does not fit; `recorder` records it all; `sever` is called when an insert fails: see `Writer`.
        `workers` threads write for each workspace, whose engine works for its `owner`.
        """
        self._engine, self._log, self._positions = engine, log, positions
        self._writer = Writer(engine, log, positions, live, recorder, sever)
        self._batch_bytes = batch_bytes
        self._queue_bytes = queue_bytes
        self._flush_seconds = flush_seconds
        self._fail_fast = frozenset(fail_fast)
        self._channels = Channels()
        self.failing, self.require_written = self._channels.failing, self._channels.require_written
        self._paused: set[str] = set()
        self._closing = False
        self._stopped = False  # what is in the log stays there
        self._state = threading.Condition()
        self._segments = Segments(self._writer, self._state, recorder)
        self._pools = Pools(workers, owner)
        self._room = Reading(queue_bytes, self._segments, self._pools)
        self.reading = self._room.reading
        self._clock = threading.Thread(target=self._flush_in_time, name="ingest-clock", daemon=True)
        self._clock.start()
        self._settler = Settler(engine, log, self._insert_again)
        self.settle = self._settler.settle  # of a workspace, behind which no inserted segment comes back

    @property
    def waiting_bytes(self) -> int:
        """Return the bytes of requests that wait to be written."""
        return self._segments.waiting_bytes

    def submit(
        self, workspace: str, data_source: str, lines: Lines, *, wait: bool = True, position: Position | None = None
    ) -> Future[IngestResult]:
        """Queue one request's lines; the future gives the counts when its rows can be read.

        Without `wait` it gives them when the lines are durable. `position` is that of a source, behind the lines: see
        `positions`. Raises ClickpipeError 503 when too much waits. The future raises ClickpipeError when none of the
        rows could be written.
        """
        request = Ingestion(import_id(), lines, wait, position)
        request.done.set_running_or_notify_cancel()  # a client that goes away takes nothing back
        if not lines.data:
            request.done.set_result(IngestResult(0, 0))
            return request.done
        with self._state:
            if self._closing:
                message = "The server is stopping. Please send it again in a moment."
                raise ClickpipeError(message, status=503, code="stopping")
            channel = self._channels[workspace, data_source]
            if channel.waiting_bytes > self._queue_bytes:  # the engine takes none; the disk is not to be filled
                raise overloaded()
            self._room.require(workspace, request.size)
            self._segments.wait(workspace, request.size)
            channel.pending.append(request)
            self._start(channel)
        return request.done

    def positions(self, workspace: str, data_source: str, source: str) -> Mapping[str, int]:
        """Return the next number of each partition of a source, behind all of it that is durable.

        A source sends what follows of a partition when what it sent before is answered. Where that failed, and when it
        starts, it goes on from here.
        """
        logged = self._channels.logged(workspace, data_source)  # before the catalog, where it is when it is inserted
        inserted = Position(source, self._positions.read(workspace, data_source, source))
        return furthest([inserted], logged)[source]

    def _start(self, channel: Channel) -> None:
        """Let the channel run if it has to, unless it does or is paused (the caller holds the lock)."""
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

    def _try_work(self, channel: Channel, batch: Sequence[Ingestion], *, flush: bool) -> None:
        try:
            self._work(channel, batch, flush=flush)
        except BaseException as error:
            if len(batch) > 1 and isinstance(error, ClickpipeError) and error.code == "unreadable":
                for request in batch:  # one of them is: the others are not to suffer from it
                    self._try_work(channel, [request], flush=False)
                return
            self._segments.fail(channel, batch, error)
            if not isinstance(error, Exception):
                raise

    def _work(self, channel: Channel, batch: Sequence[Ingestion], *, flush: bool) -> None:
        """Log a batch and answer it; insert what is logged when somebody waits, or there is enough of it."""
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
        """Have each open segment inserted when it is old enough, and those that failed when they are due."""
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
        """Start the channels with a segment that is due; return the seconds until the next one is."""
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
        """Drop what is there of a workspace that is gone, on disk too."""
        with self._state:
            for channel in self._channels.of(workspace):
                self._state.wait_for(lambda channel=channel: not channel.running)  # type: ignore[misc]
                del self._channels[workspace, channel.data_source]
            self._pools.forget(workspace)
        self._log.forget(workspace)

    def recover(self) -> int:
        """Insert what a stopped server left in its log, now or later; return how many segments that were."""
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
        """Return the segments of a workspace that were kept aside."""
        return list_rejected(self._log, workspace)

    def replay_rejected(self, workspace: str, data_source: str = "", *, seconds: float = 60.0) -> dict[str, int]:
        """Insert segments again that were kept aside, of one data source or all; wait for it for so many seconds.

        Returns how many are inserted, and how many are not, yet or because their data source is gone.
        """
        found = [s for s in self._log.rejected(workspace) if data_source in {"", s.data_source}]
        taken = [segment for segment in found if self._writer.takes(workspace, segment.data_source)]
        added = self._insert_again([self._log.take_back(segment) for segment in taken])
        done = wait_until_tried(added, self._state, seconds)
        return {"segments": done, "left": len(found) - done}

    @contextmanager
    def paused(self, workspace: str) -> Iterator[None]:
        """Hold a workspace's inserts: what is logged is inserted before, none runs inside; requests wait and go on.

        What cannot be inserted now comes in later. Raises ClickpipeError 503 while the disk does not take it all.
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
            else:  # a segment that came back would be new to tables made from now on
                raise disk_full()
            yield
        finally:
            with self._state:
                self._paused.discard(workspace)
                for channel in self._channels.values():
                    self._start(channel)
                self._state.notify_all()

    def close(self) -> None:
        """Write what waits, then stop; what cannot be inserted stays in the log. May be called twice."""
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
