"""Stages lines in ClickHouse: parses them once, into a table in memory, to count and insert them from there."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from clickpipe.catalog import Live, Registry
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import IN_ORDER, ONE_THREAD, Engine, EngineError, Settings
from clickpipe.ingest.channel import Channel, IngestResult, Staging
from clickpipe.ingest.decoder import decoder_of
from clickpipe.ingest.judge import Failure
from clickpipe.ingest.kept import Kept
from clickpipe.ingest.log import WriteAheadLog
from clickpipe.ingest.log_file import Segment, read_records
from clickpipe.ingest.mapping import STAGED, RowMapping, build_mapping
from clickpipe.ingest.probe import Probe
from clickpipe.ingest.uncertain import has_joins, has_only_own_views, is_uncertain
from clickpipe.ingest.untaken import not_now

_LOGGER = logging.getLogger(__name__)


class Stager:
    """Stages the lines of channels; each channel is used by one thread at a time."""

    def __init__(self, engine: Engine, log: WriteAheadLog, workspaces: Registry) -> None:
        """Stage through `engine`; `workspaces` returns live deployments."""
        self._engine = engine
        self._log = log
        self._live = workspaces.live
        engine.storage.create_database(STAGED, "Memory")

    def takes(self, workspace: str, data_source: str) -> bool:
        """Return whether there is a data source that accepts events."""
        live = self._live(workspace)
        return live is not None and live.takes_events(data_source)

    def now(self, channel: Channel) -> Staging:
        """Return how a channel's lines are staged. Raises ClickpipeError 404 (no such data source), 503."""
        try:
            return self.of(channel)
        except Failure as error:
            raise not_now(channel.data_source, error) from error

    def of(self, channel: Channel) -> Staging:
        """Return how a channel's lines are staged now. Raises ClickpipeError 404, EngineError."""
        staging = channel.staging
        if staging is None or staging.live is not self._live(channel.workspace):
            live = self._found(channel)
            mapping = self._mapping(channel, live, channel.workspace)
            if staging is not None and staging.mapping.table != mapping.table:
                self._engine.execute(f"DROP TABLE IF EXISTS {staging.mapping.table}")
            for copy in (staging.probe, staging.kept) if staging is not None else ():
                if copy is not None:
                    copy.drop()
            self._engine.execute(mapping.create)
            decoder = decoder_of(live.compiled.data_sources[channel.data_source])
            stale = staging is None or staging.stale
            joins = has_joins(live, channel.data_source)
            staging = channel.staging = Staging(live, mapping, decoder, stale=stale, joins=joins)
        return staging

    def _found(self, channel: Channel) -> Live:
        live = self._live(channel.workspace)
        if live is None or not live.takes_events(channel.data_source):
            message = f"The data source '{channel.data_source}' no longer exists."
            raise ClickpipeError(message, status=404, code="not_found")
        return live

    def _mapping(self, channel: Channel, live: Live, owner: str) -> RowMapping:
        name, tables = channel.data_source, live.physical.tables
        return build_mapping(live.compiled.data_sources[name], owner, tables[name], tables[f"{name}_quarantine"])

    def probe(self, channel: Channel, staging: Staging) -> Probe:
        """Return the copy of table and views that tells which of them refuse rows. Raises EngineError."""
        if staging.probe is None:
            staging.probe = Probe(self._engine, staging.live, channel.data_source, channel.workspace)
        return staging.probe

    def is_uncertain(self, channel: Channel, staging: Staging) -> bool:
        """Return whether views may decide differently about the same rows. Raises EngineError."""
        if staging.uncertain is None:
            staging.uncertain = is_uncertain(self._engine, staging.live, channel.data_source)
        return staging.uncertain

    def kept(self, channel: Channel, staging: Staging) -> Kept | None:
        """Return the copy of table and views in which rows are kept until they are written.

        Returns None if views outside the live deployment get the rows, too. Raises EngineError.
        """
        if not has_only_own_views(self._engine, staging.live, channel.data_source):
            return None
        if staging.kept is None:
            staging.kept = Kept(self._engine, staging.live, channel.data_source, channel.workspace)
        return staging.kept

    def try_stage(self, staging: Staging, lines: Sequence[tuple[str, bytes]]) -> bool:
        """Stage lines after those already staged; return whether the staging table is complete."""
        if staging.stale:
            return False
        staging.empty = False
        try:
            self.stage(staging.mapping, lines)
            staging.blocks += 1
        except Failure as error:  # waiting requests get the error, and staging is retried from the log
            _LOGGER.warning("lines could not be staged in %s: %s", staging.mapping.table, error)
            return False
        return True

    def stage(self, mapping: RowMapping, lines: Sequence[tuple[str, bytes]]) -> None:
        """Stage lines by their import ids. Raises EngineError, OSError."""
        settings: Settings = {**ONE_THREAD, **mapping.settings(data for _, data in lines)}
        with self._engine.lines(lines) as source:
            self._engine.execute(mapping.fill(source), output="Null", settings=settings)

    def stage_again(self, segment: Segment, staging: Staging) -> None:
        """Stage exactly what is in the log. Raises EngineError, OSError."""
        self._engine.execute(f"TRUNCATE TABLE {staging.mapping.table}", output="Null")
        staging.stale, staging.empty = True, False
        self._stage_segment(segment, staging.mapping)
        staging.stale, staging.blocks = False, 1

    @contextmanager
    def staged_apart(self, channel: Channel, staging: Staging, segment: Segment) -> Iterator[RowMapping]:
        """Yield the mapping of a table with the lines of a single segment. Raises EngineError, OSError."""
        mapping = self._mapping(channel, staging.live, f"{channel.workspace}_again")
        self._engine.execute(mapping.create)
        try:
            self._engine.execute(f"TRUNCATE TABLE {mapping.table}", output="Null")
            self._stage_segment(segment, mapping)
            yield mapping
        finally:
            self._engine.execute(f"DROP TABLE IF EXISTS {mapping.table}")

    def _stage_segment(self, segment: Segment, mapping: RowMapping) -> None:
        lines = [(r.import_id, r.lines) for r in read_records(segment)]
        if lines:
            self.stage(mapping, lines)

    def counts(self, mapping: RowMapping, ids: Sequence[str], *, alone: bool = False) -> dict[str, IngestResult]:
        """Return the numbers of fitting and unfitting staged lines by import id; `alone` if nothing else is staged."""
        if alone:
            body = self._engine.execute(mapping.count_all, output="JSONCompact", settings=IN_ORDER).body
            ((good, bad),) = json.loads(body)["data"]
            return {ids[0]: IngestResult(int(good), int(bad))}
        body = self._engine.execute(mapping.count, {"ids": ids}, output="JSONCompact").body
        return {name: IngestResult(int(good), int(bad)) for name, good, bad in json.loads(body)["data"]}

    def reasons(self, mapping: RowMapping, ids: Sequence[str]) -> dict[str, str]:
        """Return what is wrong with a staged line, for the import ids that have such lines. Raises EngineError."""
        return dict(json.loads(self._engine.execute(mapping.reasons, {"ids": ids}, output="JSONCompact").body)["data"])

    def empty(self, channel: Channel) -> None:
        """Clear the staging table after an insert."""
        staging = channel.staging
        if staging is None or staging.empty:
            return
        try:
            self._engine.execute(f"TRUNCATE TABLE {staging.mapping.table}", output="Null")
            staging.empty, staging.blocks = True, 0
        except EngineError:
            _LOGGER.exception("staged rows in %s could not be removed", staging.mapping.table)
            staging.stale = True
