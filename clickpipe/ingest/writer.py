"""What is done with a batch: into the log and staged, counted, inserted."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from clickpipe.catalog import Live
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, EngineError, Settings
from clickpipe.ingest.channel import Batch, Channel, Ingestion, IngestResult, Staging, State
from clickpipe.ingest.insert import ONE_THREAD, Inserted, StagedRows, insert_staged
from clickpipe.ingest.judge import Failure, is_passing
from clickpipe.ingest.log import Record, Segment, WriteAheadLog
from clickpipe.ingest.mapping import STAGED, RowMapping, build_mapping
from clickpipe.ingest.narrow import Narrowed
from clickpipe.ingest.parts import hold_back
from clickpipe.ingest.probe import Probe, has_views
from clickpipe.ingest.untaken import not_now, untaken
from clickpipe.observe import IngestionLog

_LOGGER = logging.getLogger(__name__)


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

        Nothing is logged when anything is raised: ClickpipeError 404 for a data source that is gone, 503 when disk or
        engine cannot take lines now, 422 for lines that ClickHouse cannot read.
        """
        staging = self._staging_now(channel)
        before = channel.open.file.size if channel.open is not None and channel.open.file is not None else 0
        logged = self._disk.submit(self._append, channel, [Record(r.import_id, r.lines.data) for r in batch])
        lines = [(r.import_id, r.lines.data) for r in batch]
        staging.stale = not self._try_stage(staging, lines) or staging.stale
        self._await_log(channel, staging, logged)
        assert channel.open is not None  # noqa: S101 - it was just appended to
        alone = len(batch) == 1 and not channel.open.size
        try:
            if staging.stale:
                self._stage_again(channel.open.segment, staging)
            counts = self._counts(staging, [r.import_id for r in batch], alone=alone)
        except Failure as error:
            staging.stale = True
            self._take_back(channel, before)
            raise untaken(channel.data_source, error) from error
        channel.open.size += sum(r.size for r in batch)
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
            self._stage(staging.mapping, [(r.import_id, r.lines.data) for r in batch])
            body = self._engine.execute(staging.mapping.reasons, {"ids": ids}, output="JSONCompact").body
        except Failure as error:
            raise untaken(channel.data_source, error) from error
        finally:
            staging.stale = True  # by lines that are not in the log
        return dict(json.loads(body)["data"])

    def _append(self, channel: Channel, records: Sequence[Record]) -> None:
        if channel.open is None:
            opened = self._log.open(channel.workspace, channel.data_source)
            channel.open = Batch(opened.segment, opened)
        assert channel.open.file is not None  # noqa: S101 - it is open
        channel.open.file.append(records)

    def _await_log(self, channel: Channel, staging: Staging, logged: Future[None]) -> None:
        try:
            logged.result()
        except OSError as error:
            _LOGGER.error("the write-ahead log cannot be written: %s", error)  # noqa: TRY400 - nobody's bug
            staging.stale = True  # by lines that are not in the log
            if channel.open is not None and not channel.open.size:
                self._drop_open(channel)
            message = f"The events cannot be written to disk: {error.strerror}."
            raise ClickpipeError(message, status=503, code="log_unwritable") from None

    def _take_back(self, channel: Channel, size: int) -> None:
        """Remove what nobody was told of from the log again; what cannot be removed comes in."""
        try:
            if channel.open is not None and not channel.open.size:
                self._drop_open(channel)
            elif channel.open is not None and channel.open.file is not None:
                channel.open.file.rewind(size)
        except OSError:
            _LOGGER.exception("lines for %s that were refused stay in the log", channel.data_source)

    def _drop_open(self, channel: Channel) -> None:
        opened, channel.open = channel.open, None
        if opened is not None and opened.file is not None:
            opened.file.close()
            self._log.remove(opened.segment)

    def _staging_now(self, channel: Channel) -> Staging:
        try:
            return self._staging(channel)
        except Failure as error:
            raise not_now(channel.data_source, error) from error

    def _staging(self, channel: Channel) -> Staging:
        """Return how lines are staged now. Raises ClickpipeError 404, EngineError."""
        live = self._found(channel)
        staging = channel.staging
        if staging is None or staging.live is not live:
            mapping = self._mapping(channel, live, channel.workspace)
            if staging is not None and staging.mapping.table != mapping.table:
                self._engine.execute(f"DROP TABLE IF EXISTS {staging.mapping.table}")
            if staging is not None and staging.probe is not None:
                staging.probe.drop()
            self._engine.execute(mapping.create)
            staging = channel.staging = Staging(live, mapping, stale=staging is None or staging.stale)
        return staging

    def takes(self, workspace: str, data_source: str) -> bool:
        """Tell whether there is a data source that events can be written to."""
        live = self._live(workspace)
        return live is not None and data_source in live.ingestible()

    def _found(self, channel: Channel) -> Live:
        live = self._live(channel.workspace)
        if live is None or channel.data_source not in live.ingestible():
            message = f"The data source '{channel.data_source}' does not exist any more."
            raise ClickpipeError(message, status=404, code="not_found")
        return live

    def _mapping(self, channel: Channel, live: Live, owner: str) -> RowMapping:
        name, tables = channel.data_source, live.physical.tables
        return build_mapping(live.compiled.data_sources[name], owner, tables[name], tables[f"{name}_quarantine"])

    def _probe(self, channel: Channel, staging: Staging) -> Probe:
        if staging.probe is None:
            staging.probe = Probe(self._engine, staging.live, channel.data_source, channel.workspace)
        return staging.probe

    def _try_stage(self, staging: Staging, lines: Sequence[tuple[str, bytes]]) -> bool:
        if staging.stale:
            return False
        try:
            self._stage(staging.mapping, lines)
        except Failure:
            _LOGGER.exception("lines could not be staged in %s", staging.mapping.table)
            return False
        return True

    def _stage(self, mapping: RowMapping, lines: Sequence[tuple[str, bytes]]) -> None:
        settings: Settings = {**ONE_THREAD, **mapping.settings(data for _, data in lines)}
        with self._engine.lines(lines) as source:
            self._engine.execute(mapping.fill(source), output="Null", settings=settings)

    def _stage_again(self, segment: Segment, staging: Staging) -> None:
        """Stage what the log has, and nothing else."""
        self._engine.execute(f"TRUNCATE TABLE {staging.mapping.table}", output="Null")
        staging.stale = True
        self._stage_segment(segment, staging.mapping)
        staging.stale = False

    def _stage_segment(self, segment: Segment, mapping: RowMapping) -> None:
        lines = [(r.import_id, r.lines) for r in self._log.read(segment)]
        if lines:
            self._stage(mapping, lines)

    def _counts(self, staging: Staging, ids: Sequence[str], *, alone: bool) -> dict[str, IngestResult]:
        mapping = staging.mapping
        if alone:
            body = self._engine.execute(mapping.count_all, output="JSONCompact", settings={"max_threads": 1}).body
            ((good, bad),) = json.loads(body)["data"]
            return {ids[0]: IngestResult(int(good), int(bad))}
        body = self._engine.execute(mapping.count, {"ids": ids}, output="JSONCompact").body
        return {name: IngestResult(int(good), int(bad)) for name, good, bad in json.loads(body)["data"]}

    def insert(self, channel: Channel, batch: Batch, *, staged: bool) -> Inserted | None:
        """Insert a sealed segment, whose lines may be `staged`; return what of it was refused, None to try again.

        Raises ClickpipeError 404 for a data source that is gone: the segment is kept aside then.
        """
        started = time.monotonic()
        batch.to(State.INSERTING)
        try:
            found = self._insert_live(channel, batch, staged=staged)
        except Exception as error:
            if isinstance(error, ClickpipeError) and error.code == "not_found":
                kept = self._log.set_aside(batch.segment)
                _LOGGER.warning("events for a data source that is gone are kept in %s", kept)
                raise
            passing = is_passing(error)
            batch.put_off(str(error), passing=passing)
            level = logging.WARNING if passing else logging.ERROR
            bug = error if not isinstance(error, Failure) else None
            text = "an insert into %s failed (%s); it is tried again in %.1f s"
            _LOGGER.log(level, text, channel.data_source, error, batch.again_at - time.monotonic(), exc_info=bug)
            self._tell(channel, batch, 0.0, Inserted(), str(error))
            return None
        batch.to(State.INSERTED)
        self._log.inserted(batch.segment)
        self._tell(channel, batch, time.monotonic() - started, found)
        return found

    def _insert_live(self, channel: Channel, batch: Batch, *, staged: bool) -> Inserted:
        staging = self._staging(channel)
        if staged:
            if staging.stale:
                self._stage_again(batch.segment, staging)
            return self._insert_staged(channel, staging, staging.mapping, batch)
        mapping = self._mapping(channel, staging.live, f"{channel.workspace}_again")
        self._engine.execute(mapping.create)
        try:
            self._engine.execute(f"TRUNCATE TABLE {mapping.table}", output="Null")
            self._stage_segment(batch.segment, mapping)
            return self._insert_staged(channel, staging, mapping, batch)
        finally:
            self._engine.execute(f"DROP TABLE IF EXISTS {mapping.table}")

    def _insert_staged(self, channel: Channel, staging: Staging, mapping: RowMapping, batch: Batch) -> Inserted:
        kept = self._log.read_refused(batch.segment)

        def keep(narrowed: Narrowed) -> None:
            batch.to(State.NARROWING)
            self._log.write_refused(batch.segment, narrowed.as_dict())

        rows = StagedRows(
            mapping,
            batch.good,
            batch.bad,
            batch.segment.token,
            partial(self._probe, channel, staging),
            has_views(staging.live, channel.data_source),
        )
        known = Narrowed.of(kept) if kept is not None else None
        return insert_staged(
            self._engine, rows, known=known, keep=keep, relieve=partial(self._relieve, channel.workspace)
        )

    def empty(self, channel: Channel) -> None:
        """Have nothing staged, after what was is inserted."""
        staging = channel.staging
        if staging is None:
            return
        try:
            self._engine.execute(f"TRUNCATE TABLE {staging.mapping.table}", output="Null")
        except EngineError:
            _LOGGER.exception("what is staged in %s is not removed", staging.mapping.table)
            staging.stale = True

    def _tell(self, channel: Channel, batch: Batch, seconds: float, found: Inserted, error: str = "") -> None:
        if self._told is None:
            return
        good, bad = (0, 0) if error else (batch.good - found.rows, batch.bad + found.rows)
        counts = {"rows": good, "rows_quarantine": bad, "written_rows": good, "written_rows_quarantine": bad}
        more = {"blocks_ids": [batch.segment.token], "read_bytes": batch.size, **counts}
        self._told.operation(channel.workspace, channel.data_source, "append-hfi", seconds=seconds, error=error, **more)

    def pause(self, channel: Channel) -> float:
        """Return for how many seconds the next insert is held back, so that parts are merged faster than made."""
        return hold_back(self._engine, self._live(channel.workspace), channel.recent)

    def close(self) -> None:
        """Let go of the threads."""
        self._disk.shutdown(wait=True)
