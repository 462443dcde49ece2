"""Processes batches: judges them, logs them, inserts them.

Lines that certainly fit (`decoder.py`) are acknowledged once they are in the log, and inserted from there by a single
statement. Others are first staged and counted in ClickHouse.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial

from clickpipe.catalog import PositionStore, Registry
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine
from clickpipe.ingest.channel import ATTEMPTS, Batch, Channel, Ingestion, IngestResult, Staging, State
from clickpipe.ingest.decoder import Judged
from clickpipe.ingest.direct import DirectInsert
from clickpipe.ingest.insert import insert_staged
from clickpipe.ingest.judge import Failure, is_passing
from clickpipe.ingest.kept_file import KeptFile
from clickpipe.ingest.log import WriteAheadLog
from clickpipe.ingest.log_file import Record
from clickpipe.ingest.mapping import RowMapping
from clickpipe.ingest.narrow import Narrowed
from clickpipe.ingest.parts import hold_back
from clickpipe.ingest.position import Positions, furthest
from clickpipe.ingest.staged import Inserted, StagedRows
from clickpipe.ingest.staging import Stager
from clickpipe.ingest.uncertain import doubled_by_repeats, has_views
from clickpipe.ingest.untaken import untaken
from clickpipe.ingest.writes import NO_STANDBYS, Standbys
from clickpipe.observe import IngestionLog
from clickpipe.query import shown_error

_LOGGER = logging.getLogger(__name__)
Certain = tuple[Ingestion, Judged]


class Writer:
    """Writes batches of channels; each channel is used by one thread at a time."""

    def __init__(
        self,
        engine: Engine,
        log: WriteAheadLog,
        positions: PositionStore,
        workspaces: Registry,
        recorder: IngestionLog | None = None,
        standbys: Standbys = NO_STANDBYS,
    ) -> None:
        """Insert through `engine` into the live deployments of `workspaces`; `recorder` records each insert.

        `positions` stores how far sources have been read. `standbys` detaches a standby whose view made an insert fail.
        """
        self._standbys = standbys
        self._positions = positions
        self._recorder = recorder
        self._engine = engine
        self._log = log
        self._live = workspaces.live
        self._disk = ThreadPoolExecutor(4, thread_name_prefix="log")
        self._stager = Stager(engine, log, workspaces)
        self._direct = DirectInsert(engine, log, self._stager)
        self.takes = self._stager.takes
        self.empty = self._stager.empty

    def split(self, channel: Channel, batch: Sequence[Ingestion]) -> tuple[list[Certain], list[Ingestion]]:
        """Split requests into those whose lines certainly fit, and those that ClickHouse has to check.

        Raises ClickpipeError 404 for a data source that is gone, 503 if the engine cannot accept lines now.
        """
        decoder = self._stager.now(channel).decoder
        if decoder is None:
            return [], list(batch)
        found = [(request, decoder.judge(request.lines.data)) for request in batch]
        certain = [(request, judged) for request, judged in found if judged is not None]
        return certain, [request for request, judged in found if judged is None]

    def log(self, channel: Channel, certain: Sequence[Certain]) -> dict[str, IngestResult]:
        """Log requests whose lines certainly fit; return the counts. Raises ClickpipeError 503 if the disk fails."""
        batch = [request for request, _ in certain]
        try:
            self._append(channel, batch)
        except OSError as error:
            raise self._unwritable(channel, error) from None
        opened = channel.open
        assert opened is not None  # noqa: S101 - it was just appended to
        counts = {request.import_id: IngestResult(judged.rows, 0) for request, judged in certain}
        opened.add(batch, counts)
        opened.certain += counts
        for _, judged in certain:
            if judged.values is None or judged.columns != (opened.columns or judged.columns):
                opened.forget_values()
            elif not opened.lines_only:
                opened.columns = judged.columns
                opened.values.append(judged.values)
        return counts

    def take(self, channel: Channel, batch: Sequence[Ingestion]) -> dict[str, IngestResult]:
        """Log requests; return by id how many lines of each fit, and how many go to quarantine.

        If anything is raised, nothing is logged: ClickpipeError 404 for a data source that is gone, 503 if disk or
        engine cannot accept lines now, 422 for lines that ClickHouse cannot parse.
        """
        staging = self._stager.now(channel)
        before = channel.open.file.size if channel.open is not None and channel.open.file is not None else 0
        positions = channel.open.positions if channel.open is not None else {}
        logged = self._disk.submit(self._append, channel, batch)
        lines = [(r.import_id, r.lines.data) for r in batch]
        try:
            staging.stale = not self._stager.try_stage(staging, lines) or staging.stale
            self._await_log(channel, logged)
            assert channel.open is not None  # noqa: S101 - it was just appended to
            alone = len(batch) == 1 and not channel.open.size
            if staging.stale:
                self._stager.stage_again(channel.open.segment, staging)
            counts = self._stager.counts(staging.mapping, [r.import_id for r in batch], alone=alone)
        except Exception as error:
            staging.stale = True  # has lines that are not in the log
            wait([logged])
            if logged.exception() is None:
                self._take_back(channel, before, positions)
            if isinstance(error, Failure):
                raise untaken(channel.data_source, error) from error
            raise
        channel.open.add(batch, counts)
        channel.open.forget_values()
        return counts

    def screen(self, channel: Channel, batch: Sequence[Ingestion]) -> dict[str, str]:
        """Return what is wrong with a line, for requests that have one that does not fit. Logs nothing.

        Raises like `take`.
        """
        staging = self._stager.now(channel)
        staging.empty = False
        try:
            self._stager.stage(staging.mapping, [(r.import_id, r.lines.data) for r in batch])
            return self._stager.reasons(staging.mapping, [r.import_id for r in batch])
        except Failure as error:
            raise untaken(channel.data_source, error) from error
        finally:
            staging.stale = True  # has lines that are not in the log

    def _append(self, channel: Channel, batch: Sequence[Ingestion]) -> None:
        if channel.open is None:
            opened = self._log.open(channel.workspace, channel.data_source)
            channel.open = Batch(opened.segment, opened)
        assert channel.open.file is not None  # noqa: S101 - it is open
        channel.open.file.append([Record(r.import_id, r.lines.data, r.position) for r in batch])
        channel.open.positions = furthest((r.position for r in batch), channel.open.positions)

    def _await_log(self, channel: Channel, logged: Future[None]) -> None:
        try:
            logged.result()
        except OSError as error:
            raise self._unwritable(channel, error) from None

    def _unwritable(self, channel: Channel, error: OSError) -> ClickpipeError:
        _LOGGER.error("the write-ahead log cannot be written: %s", error)
        if channel.open is not None and not channel.open.size:
            self._drop_open(channel)
        message = f"The events cannot be written to disk: {error.strerror}."
        return ClickpipeError(message, status=503, code="log_unwritable")

    def _take_back(self, channel: Channel, size: int, positions: Positions) -> None:
        """Remove unacknowledged lines from the log again; if that fails, they will be inserted."""
        try:
            if channel.open is not None and not channel.open.size:
                self._drop_open(channel)
            elif channel.open is not None and channel.open.file is not None:
                channel.open.file.rewind(size)
                channel.open.positions = positions
        except OSError:
            _LOGGER.exception("refused lines for %s remain in the log", channel.data_source)

    def _drop_open(self, channel: Channel) -> None:
        opened, channel.open = channel.open, None
        if opened is not None and opened.file is not None:
            opened.file.close()
            self._log.remove(opened.segment)

    def insert(self, channel: Channel, batch: Batch, *, first: bool) -> Inserted | None:
        """Insert a sealed segment, for the `first` time or again; return what was refused, or None to retry later.

        Raises ClickpipeError 404 if the data source is gone; the segment is then kept aside.
        """
        started, since = time.monotonic(), self._engine.look()
        batch.to(State.INSERTING)
        try:
            found = self._insert_live(channel, batch, first=first)
            if batch.positions:
                self._positions.advance(channel.workspace, channel.data_source, batch.positions)
        except Exception as error:
            if isinstance(error, ClickpipeError) and error.code == "not_found":
                kept = self._log.set_aside(batch.segment)
                _LOGGER.warning("events for a data source that is gone are kept in %s", kept)
                raise
            passing = is_passing(error)
            batch.put_off(str(error), passing=passing)
            level = logging.WARNING if passing else logging.ERROR
            bug = error if not isinstance(error, Failure) else None
            text = "an insert into %s failed (%s); retrying in %.1f s"
            _LOGGER.log(level, text, channel.data_source, error, batch.again_at - time.monotonic(), exc_info=bug)
            self._tell(channel, batch, 0.0, Inserted(), shown_error(error))
            return None
        batch.to(State.INSERTED)
        self._log.inserted(batch.segment, since)
        self._tell(channel, batch, time.monotonic() - started, found)
        if not first:
            self._tell_of_doubles(channel)
        if found.lack:
            self._tell(channel, batch, 0.0, Inserted(), found.lack)
        return found

    def _tell_of_doubles(self, channel: Channel) -> None:
        live = self._live(channel.workspace)
        if live is not None and (twice := doubled_by_repeats(live, channel.data_source)):
            text = "an insert into '%s' was repeated after a stop or a failure: %s may have its rows twice"
            _LOGGER.warning(text, channel.data_source, ", ".join(twice))

    def _insert_live(self, channel: Channel, batch: Batch, *, first: bool) -> Inserted:
        staging = self._stager.of(channel)
        if first and not batch.certain:
            if staging.stale:
                self._stager.stage_again(batch.segment, staging)
            return self._insert_staged(channel, staging, staging.mapping, batch, one_block=staging.blocks == 1)
        if first and not batch.lines_only and self._direct.insert(channel, staging, batch):
            return Inserted()
        with self._stager.staged_apart(channel, staging, batch.segment) as mapping:
            if not batch.certain:  # may be from an earlier server, so its counts are unknown
                counted = self._stager.counts(mapping, [""], alone=True)[""]
                batch.good, batch.bad = counted.successful_rows, counted.quarantined_rows
            misjudged = self._direct.misjudged(mapping, batch) if batch.certain else Inserted()
            return misjudged + self._insert_staged(channel, staging, mapping, batch, misjudged.rows)

    def _insert_staged(
        self,
        channel: Channel,
        staging: Staging,
        mapping: RowMapping,
        batch: Batch,
        misjudged: int = 0,
        *,
        one_block: bool = True,
    ) -> Inserted:
        kept = self._log.read_refused(batch.segment)

        def keep(narrowed: Narrowed) -> None:
            batch.to(State.NARROWING)
            self._log.write_refused(batch.segment, narrowed.as_dict())

        rows = StagedRows(
            mapping,
            batch.good,
            batch.bad + misjudged,
            batch.segment.token,
            partial(self._stager.probe, channel, staging),
            has_views(staging.live, channel.data_source),
            one_block,
            partial(self._stager.kept, channel, staging) if self._stager.is_uncertain(channel, staging) else None,
            KeptFile(batch.segment),
            batch.attempts >= ATTEMPTS,
        )
        known = Narrowed.of(kept) if kept is not None else None
        sever = partial(self._standbys.sever, channel.workspace)
        return insert_staged(self._engine, rows, known=known, keep=keep, sever=sever)

    def _tell(self, channel: Channel, batch: Batch, seconds: float, found: Inserted, error: str = "") -> None:
        if self._recorder is None:
            return
        good, bad = (0, 0) if error else (batch.good - found.rows, batch.bad + found.rows)
        counts = {"rows": good, "rows_quarantine": bad, "written_rows": good, "written_rows_quarantine": bad}
        more = {"blocks_ids": [batch.segment.token], "read_bytes": batch.size, **counts}
        self._recorder.operation(
            channel.workspace, channel.data_source, "append-hfi", seconds=seconds, error=error, **more
        )

    def pause(self, channel: Channel) -> float:
        """Return for how many seconds to delay the next insert, so that parts are merged faster than created."""
        return hold_back(self._engine, self._live(channel.workspace), channel.recent)

    def close(self) -> None:
        """Shut down the threads."""
        self._disk.shutdown(wait=True)
