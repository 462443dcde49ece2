"""Inserts segments of the log, and answers the requests that wait for them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest.channel import Batch, Channel, Ingestion, IngestResult, State
from clickpipe.ingest.writer import Writer
from clickpipe.observe import IngestionLog

_PATIENCE = 10.0  # seconds until a waiting request is told that its rows are durable, but cannot be queried yet


class Segments:
    """Inserts the segments of channels; each channel is used by one thread at a time."""

    def __init__(self, writer: Writer, state: threading.Condition, recorder: IngestionLog | None) -> None:
        """Insert with `writer`; `state` is notified when requests are answered, `recorder` counts them."""
        self._writer = writer
        self._state = state
        self._recorder = recorder
        self.waiting_bytes = 0  # of unanswered requests
        self.waiting_of: Counter[str] = Counter()  # the same by workspace

    def wait(self, workspace: str, size: int) -> None:
        """Count the bytes of a request to be answered. The caller must hold the lock."""
        self.waiting_bytes += size
        self.waiting_of[workspace] += size

    def without_faulty(self, channel: Channel, batch: Sequence[Ingestion]) -> list[Ingestion]:
        """Refuse requests with a line that does not fit; return the others.

        Requests with a position are not refused: their source would send them again and again.
        """
        asked = [request for request in batch if request.position is None]
        faults = self._writer.screen(channel, asked) if asked else {}
        for request in asked:
            if fault := faults.get(request.import_id):
                error = ClickpipeError(f"Nothing was written: {fault}", code="row_does_not_fit")
                self.fail(channel, [request], error)
        return [r for r in batch if r.import_id not in faults]

    def logged(self, channel: Channel, batch: Sequence[Ingestion], counts: Mapping[str, IngestResult]) -> None:
        """Answer the requests that wait only for the log."""
        assert channel.open is not None  # noqa: S101 - the writer opened it
        found = [(r, counts.get(r.import_id, IngestResult(0, 0))) for r in batch]
        channel.open.waiting += [one for one in found if one[0].wait]
        self.answer(channel, [one for one in found if not one[0].wait])

    def insert(self, channel: Channel) -> None:
        """Insert the open segment, unless earlier inserts are failing: then it waits behind them."""
        batch, channel.open = channel.open, None
        if batch is None:
            return
        channel.inserting = batch
        try:
            batch.seal()
            if not channel.blocked:
                self._insert_now(channel, batch, first=True)
            else:
                batch.again_at = min(one.again_at for one in tuple(channel.sealed))
                batch.forget_values()
        finally:
            if batch.state in {State.SEALED, State.RETRYING}:
                if channel.staging is not None:
                    channel.staging.stale = True
                channel.sealed.append(batch)
            else:
                self._writer.empty(channel)  # after the answers: clients send the next lines meanwhile
            channel.inserting = None
            with self._state:
                self._state.notify_all()  # the clock: there is something to retry

    def insert_sealed(self, channel: Channel, *, all_of_them: bool = False) -> None:
        """Retry the segments that are due, oldest first; stop if the cause affects all of them."""
        stopped = False
        for batch in tuple(channel.sealed):
            if stopped or (not all_of_them and batch.again_at > time.monotonic()):
                stopped = stopped or batch.passing
                continue
            channel.inserting = batch
            try:
                with suppress(ClickpipeError):  # its data source is gone: the log reports and keeps it
                    self._insert_now(channel, batch, first=False)
            finally:
                channel.inserting = None
            if batch.state is State.RETRYING:
                stopped = batch.passing
            else:
                channel.sealed.remove(batch)
        with self._state:
            self._state.notify_all()  # the clock: there may be something to retry

    def insert_all(self, channels: Iterable[Channel]) -> None:
        """Insert everything that is logged for the channels, as far as possible now."""
        for channel in channels:
            self.insert_sealed(channel, all_of_them=True)
            with suppress(ClickpipeError):
                self.insert(channel)

    def _insert_now(self, channel: Channel, batch: Batch, *, first: bool) -> None:
        try:
            found = self._writer.insert(channel, batch, first=first)
        except ClickpipeError as error:
            self.fail(channel, [request for request, _ in self._waiting_for(batch)], error)
            raise
        finally:
            if pause := self._writer.pause(channel):
                time.sleep(pause)
        if found is not None:
            results = [
                (request, result.without(*found.refused.get(request.import_id, (0, ""))))
                for request, result in self._waiting_for(batch)
            ]
            self.answer(channel, results)

    def _waiting_for(self, batch: Batch) -> list[tuple[Ingestion, IngestResult]]:
        """Return the requests that wait for a segment to be inserted, and clear the list."""
        with self._state:
            found, batch.waiting = batch.waiting, []
        return found

    def answer(self, channel: Channel, results: Sequence[tuple[Ingestion, IngestResult]]) -> None:
        """Answer requests; those of which no row could be written with ClickpipeError 422."""
        self._release(channel.workspace, [request for request, _ in results])
        for request, found in results:
            if found.refused:
                message = f"None of the rows could be written; they are in quarantine. {found.refused}"
                request.done.set_exception(ClickpipeError(message, status=422, code="rows_refused"))
            else:
                request.done.set_result(found)
            if self._recorder is not None:
                good, bad = found.successful_rows, found.quarantined_rows
                counts = {"rows_total": good + bad, "rows_successful": good, "rows_quarantined": bad}
                counts["error_requests" if found.refused else "successful_requests"] = 1
                self._recorder.request(channel.workspace, channel.data_source, request.size, **counts)

    def fail(self, channel: Channel, batch: Sequence[Ingestion], error: BaseException) -> None:
        """Answer those requests that are not answered yet with an error."""
        unanswered = [r for r in batch if not r.done.done()]
        self._release(channel.workspace, unanswered)
        for request in unanswered:
            request.done.set_exception(error)
            if self._recorder is not None:
                self._recorder.request(channel.workspace, channel.data_source, request.size, error_requests=1)

    def _release(self, workspace: str, requests: Sequence[Ingestion]) -> None:
        """Free their bytes, before the answer, as the next request may follow at once."""
        with self._state:
            self.wait(workspace, -sum(r.size for r in requests))
            self._state.notify_all()

    def answer_late(self, channel: Channel, now: float) -> float | None:
        """Tell requests that have waited for long that their rows are durable; return seconds until the next is due.

        The caller must hold the lock.
        """
        left = []
        for batch in channel.batches():
            if batch.waiting and (rest := batch.since + _PATIENCE - now) > 0:
                left.append(rest)
            else:
                self.answer_durable(channel, batch)
        return min(left, default=None)

    def answer_durable(self, channel: Channel, batch: Batch) -> None:
        """Tell the requests that wait for a segment that its rows are durable, but cannot be queried yet."""
        found = self._waiting_for(batch)
        self.answer(channel, [(request, replace(result, readable=False)) for request, result in found])
