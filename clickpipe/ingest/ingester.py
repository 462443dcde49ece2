"""Events in: log, insert, count, acknowledge. Exactly once, also over a crash.

Requests for one data source that arrive while others are written form the next batch: one sync for all of them. A
request that waits is answered when its rows can be read, and has what is logged inserted at once. One that does not is
answered when its lines are durable and counted; they are inserted within `flush_seconds`, many requests together.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress

from clickpipe.catalog import Live
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, EngineError
from clickpipe.ingest.body import Lines
from clickpipe.ingest.channel import Channel, Ingestion, IngestResult
from clickpipe.ingest.log import WriteAheadLog
from clickpipe.ingest.writer import Writer
from clickpipe.observe import IngestionLog

_FLUSH_BYTES = 1 << 20  # logged lines that are inserted without waiting for more


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
        flush_seconds: float = 1.0,
        fail_fast: Collection[str] = (),
        told: IngestionLog | None = None,
        relieve: Callable[[str, EngineError], bool] = lambda _workspace, _error: False,
        workers: int = 4,
    ) -> None:
        """Insert through `engine`; `live` tells what a workspace's id answers from.

        `batch_bytes` bounds one insert (a larger request is one of its own), `queue_bytes` all that waits, and all that
        is being read; `fail_fast` are the data sources (`*`: all) that refuse a request with a line that does not fit;
        `told` is told of it all; `relieve` is asked when an insert fails: see `Writer`.
        """
        self._log = log
        self._writer = Writer(engine, log, live, told, relieve)
        self._told = told
        self._batch_bytes = batch_bytes
        self._queue_bytes = queue_bytes
        self._flush_seconds = flush_seconds
        self._fail_fast = frozenset(fail_fast)
        self._waiting = 0
        self._reading = 0
        self._channels: dict[tuple[str, str], Channel] = {}
        self._paused: set[str] = set()
        self._closing = False
        self._state = threading.Condition()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="ingest")
        self._clock = threading.Thread(target=self._flush_in_time, name="ingest-clock", daemon=True)
        self._clock.start()

    @property
    def waiting_bytes(self) -> int:
        """Return the bytes of requests that wait to be written."""
        return self._waiting

    @contextmanager
    def reading(self) -> Iterator[Callable[[int], None]]:
        """Give a function that counts bytes of a request while they come in, until its lines are submitted.

        It raises ClickpipeError 503 when too much is in memory: a request that comes alone may be of any size.
        """
        own = 0

        def count(size: int) -> None:
            nonlocal own
            with self._state:
                if self._reading > own and self._reading + size > self._queue_bytes:
                    raise _overloaded()
                self._reading += size
            own += size

        try:
            yield count
        finally:
            with self._state:
                self._reading -= own

    def submit(self, workspace: str, data_source: str, lines: Lines, *, wait: bool = True) -> Future[IngestResult]:
        """Queue one request's lines; the future gives the counts when its rows can be read.

        Without `wait` it gives them when the lines are durable. Raises ClickpipeError 503 when too much waits. The
        future raises ClickpipeError when the rows could not be written: then none of them was acknowledged.
        """
        request = Ingestion(str(uuid.uuid4()), lines, wait)
        request.done.set_running_or_notify_cancel()  # a client that goes away takes nothing back
        if not lines.data:
            request.done.set_result(IngestResult(0, 0))
            return request.done
        with self._state:
            if self._closing:
                message = "The server is stopping. Please send it again in a moment."
                raise ClickpipeError(message, status=503, code="stopping")
            if self._waiting and self._waiting + request.size > self._queue_bytes:
                raise _overloaded()
            self._waiting += request.size
            channel = self._channels.setdefault((workspace, data_source), Channel(workspace, data_source))
            channel.pending.append(request)
            self._start(channel)
        return request.done

    def _start(self, channel: Channel) -> None:
        """Let the channel run if it has to, unless it does or is paused (the caller holds the lock)."""
        if (channel.pending or channel.flush) and not channel.running and channel.workspace not in self._paused:
            channel.running = True
            self._pool.submit(self._run, channel)

    def _run(self, channel: Channel) -> None:
        while True:
            with self._state:
                batch = channel.take(self._batch_bytes) if channel.workspace not in self._paused else []
                flush, channel.flush = channel.flush, False
                if not batch and not flush:
                    channel.running = False
                    self._state.notify_all()
                    return
            try:
                self._work(channel, batch, flush=flush)
            except BaseException as error:
                self._fail(channel, batch, error)
                if not isinstance(error, Exception):
                    raise

    def _work(self, channel: Channel, batch: Sequence[Ingestion], *, flush: bool) -> None:
        """Log a batch and answer it; insert what is logged when somebody waits, or there is enough of it."""
        full = channel.open is not None and channel.open.size + sum(r.size for r in batch) > self._batch_bytes
        if flush or full:
            with suppress(ClickpipeError):  # those in it were answered: the log tells, and what it keeps
                self._insert(channel)
        if batch and not self._fail_fast.isdisjoint({"*", channel.data_source}):
            batch = self._without_faulty(channel, batch)
        if not batch:
            return
        counts = self._writer.take(channel, batch)
        assert channel.open is not None  # noqa: S101 - the writer opened it
        waiting = [r for r in batch if r.wait]
        rows = (counts.get(r.import_id) for r in batch if not r.wait)
        channel.open.acknowledged += sum(c.successful_rows + c.quarantined_rows for c in rows if c is not None)
        self._answer(channel, [r for r in batch if not r.wait], counts)
        if waiting or self._closing or channel.open.size >= _FLUSH_BYTES:
            self._insert(channel, lambda: self._answer(channel, waiting, counts))

    def _without_faulty(self, channel: Channel, batch: Sequence[Ingestion]) -> list[Ingestion]:
        """Refuse requests with a line that does not fit; return the others."""
        faults = self._writer.screen(channel, batch)
        for request in batch:
            if (fault := faults.get(request.import_id)) is not None:
                message = f"Nothing was written: {fault}"
                self._fail(channel, [request], ClickpipeError(message, code="row_does_not_fit"))
        return [r for r in batch if r.import_id not in faults]

    def _answer(self, channel: Channel, requests: Sequence[Ingestion], counts: Mapping[str, IngestResult]) -> None:
        self._release(requests)
        for request in requests:
            found = counts.get(request.import_id, IngestResult(0, 0))
            request.done.set_result(found)
            if self._told is not None:
                good, bad = found.successful_rows, found.quarantined_rows
                rows = {"rows_total": good + bad, "rows_successful": good, "rows_quarantined": bad}
                self._told.request(channel.workspace, channel.data_source, request.size, successful_requests=1, **rows)

    def _insert(self, channel: Channel, inserted: Callable[[], None] = lambda: None) -> None:
        try:
            self._writer.insert(channel, inserted)
        finally:
            if pause := self._writer.pause(channel):
                time.sleep(pause)

    def _fail(self, channel: Channel, batch: Sequence[Ingestion], error: BaseException) -> None:
        unanswered = [r for r in batch if not r.done.done()]
        self._release(unanswered)
        for request in unanswered:
            request.done.set_exception(error)
            if self._told is not None:
                self._told.request(channel.workspace, channel.data_source, request.size, error_requests=1)

    def _release(self, requests: Sequence[Ingestion]) -> None:
        """Make room, before the answer: the next request may follow at once."""
        with self._state:
            self._waiting -= sum(r.size for r in requests)
            self._state.notify_all()

    def _flush_in_time(self) -> None:
        """Have each open batch inserted when it is old enough."""
        with self._state:
            while not self._closing:
                now = time.monotonic()
                ages = {id(c): now - c.open.since for c in self._channels.values() if c.open is not None}
                for channel in self._channels.values():
                    if ages.get(id(channel), 0.0) >= self._flush_seconds and not channel.flush:
                        channel.flush = True
                        self._start(channel)
                left = [self._flush_seconds - age for age in ages.values() if age < self._flush_seconds]
                self._state.wait(max(0.001, min(left)) if left else None)

    def forget(self, workspace: str) -> None:
        """Drop what is there of a workspace that is gone, on disk too."""
        with self._state:
            for key in [key for key in self._channels if key[0] == workspace]:
                self._state.wait_for(lambda key=key: not self._channels[key].running)  # type: ignore[misc]
                del self._channels[key]
        self._log.forget(workspace)

    def recover(self) -> int:
        """Insert what a stopped server left in its log; return how many segments that were."""
        return self._writer.recover()

    @contextmanager
    def paused(self, workspace: str) -> Iterator[None]:
        """Hold a workspace's inserts: what is logged is inserted before, none runs inside; requests wait and go on."""
        with self._state:
            self._paused.add(workspace)
            own = [c for c in self._channels.values() if c.workspace == workspace]
            self._state.wait_for(lambda: not any(c.running for c in own))
        try:
            for channel in own:
                with suppress(ClickpipeError):
                    self._writer.insert(channel)
            self._log.sync(workspace)  # a segment that came back would be new to tables made from now on
            yield
        finally:
            with self._state:
                self._paused.discard(workspace)
                for channel in self._channels.values():
                    self._start(channel)

    def close(self) -> None:
        """Write what waits, then stop. May be called twice."""
        with self._state:
            if self._closing:
                return
            self._closing = True
            for channel in self._channels.values():
                channel.flush = True
                self._start(channel)
            self._state.notify_all()
        self._clock.join()
        self._pool.shutdown(wait=True)
        self._writer.close()


def _overloaded() -> ClickpipeError:
    message = "Too much is waiting to be written. Please send it again in a moment."
    return ClickpipeError(message, status=503, code="overloaded")
