"""Inserts rows whose values are known without staging: all or none."""

from __future__ import annotations

import logging

from clickpipe.engine import Engine, EngineError, once
from clickpipe.ingest.channel import Batch, Channel, Staging
from clickpipe.ingest.judge import is_passing
from clickpipe.ingest.kept_file import KeptFile
from clickpipe.ingest.log import WriteAheadLog
from clickpipe.ingest.mapping import RowMapping
from clickpipe.ingest.narrow import Narrowed
from clickpipe.ingest.staged import Inserted
from clickpipe.ingest.staging import Stager
from clickpipe.ingest.uncertain import has_views
from clickpipe.ingest.writes import patiently

_LOGGER = logging.getLogger(__name__)


class DirectInsert:
    """Inserts segments without staging them. Only one thread at a time may use a channel."""

    def __init__(self, engine: Engine, log: WriteAheadLog, stager: Stager) -> None:
        """Insert segments of `log` through `engine`; `stager` has the channels' mappings."""
        self._engine = engine
        self._log = log
        self._stager = stager

    def insert(self, channel: Channel, staging: Staging, batch: Batch) -> bool:
        """Insert a segment, for the first time, of which all values are known.

        Returns False, and nothing is written, where table or views refuse one.
        Its token is that of the staged insert, which may follow. Raises EngineError for what passes, and OSError.
        """
        insert, columns, rows = self._engine.insert, batch.columns, b"".join(batch.values)
        if self._stager.is_uncertain(channel, staging):
            return self._insert_kept(channel, staging, batch)
        token = once(batch.segment.token)
        try:
            if ahead := has_views(staging.live, channel.data_source):
                probe = self._stager.probe(channel, staging)
                patiently(lambda: insert(probe.table, columns, rows, {}))
            try:
                patiently(lambda: insert(staging.live.physical.tables[channel.data_source], columns, rows, token))
            except EngineError:
                if ahead:  # the table may have all of them now, so never check them again
                    self._log.write_refused(batch.segment, Narrowed(()).as_dict())
                raise
        except EngineError as error:
            if is_passing(error):
                raise
            _LOGGER.info("rows for %s are looked at one by one (%s)", channel.data_source, error.name or "refused")
            return False
        return True

    def _insert_kept(self, channel: Channel, staging: Staging, batch: Batch) -> bool:
        kept = self._stager.kept(channel, staging)
        if kept is None or kept.take_values(batch.columns, b"".join(batch.values)) is not None:
            return False
        KeptFile(batch.segment).write(kept.dump())
        self._log.write_refused(batch.segment, Narrowed((), once=True).as_dict())
        kept.write(batch.segment.token)
        return True

    def misjudged(self, mapping: RowMapping, batch: Batch) -> Inserted:
        """Return the lines of a staged segment that we considered certain to fit, but that ClickHouse refuses."""
        counts, reasons = self._stager.counts(mapping, batch.certain), self._stager.reasons(mapping, batch.certain)
        if reasons:
            _LOGGER.error("lines that should fit do not, and go to quarantine: %s", next(iter(reasons.values())))
        return Inserted({name: (counts[name].quarantined_rows, why) for name, why in reasons.items()})
