"""Appends rows that a job has prepared to a table: exactly once, whatever happens meanwhile."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from clickpipe.catalog import Live
from clickpipe.engine import SAME_BLOCKS, Engine, EngineError, Settings, once, tagged, without_views
from clickpipe.ingest import Forwarding, Probe, has_only_own_views, has_views, is_passing, is_uncertain
from clickpipe.jobs.report import Report

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Appending:
    """Rows to append: the table they are in, their target, and a deduplication token.

    `behind` is used if views might treat the same rows differently the next time: it maps tables with the rows that
    views made to their targets, and those views are not run again.
    """

    rows: str
    target: str
    token: str
    behind: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return what a job records, so that it can be resumed after a restart."""
        return {"appending": self.rows, "target": self.target, "token": self.token, "behind": dict(self.behind)}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Restore it from what `as_dict` returned."""
        rows = str(told["appending"])
        token = told.get("token") or rows.rpartition("_")[2].strip("`")
        return cls(rows, str(told["target"]), str(token), dict(told.get("behind") or {}))

    @property
    def tables(self) -> list[str]:
        """Return the temporary tables."""
        return [self.rows, *self.behind]

    def drop(self, engine: Engine) -> None:
        """Drop the temporary tables. Raises EngineError."""
        for table in self.tables:
            engine.execute(f"DROP TABLE IF EXISTS {table}")


def ask_views(engine: Engine, live: Live, name: str, rows: str) -> Appending:
    """Try the rows on the data source and its views, and return how to append them.

    Raises EngineError if the data source or one of its views refuses a row; then nothing was written.
    """
    target, token = live.physical.tables[name], uuid.uuid4().hex[:12]
    if not has_views(live, name):
        return Appending(rows, target, token)
    unsure = is_uncertain(engine, live, name) and has_only_own_views(engine, live, name)
    probe = Probe(engine, live, name, f"job_{token}", on_disk=f"_copy_{token}" if unsure else "")
    appending = Appending(rows, target, token, probe.on_disk)
    try:
        engine.execute(f"INSERT INTO {probe.table} SELECT * FROM {rows}", settings=SAME_BLOCKS)
    except EngineError as error:
        where, why = probe.refused_by(error)
        error.message = f"Nothing was written: {where} refuses a row: {why}"
        probe.drop()
        for table in probe.on_disk:
            engine.execute(f"DROP TABLE IF EXISTS {table}")
        raise
    probe.drop()
    return appending


def append_rows(engine: Engine, appending: Appending, report: Report, forwarding: Forwarding) -> None:
    """Append all rows exactly once, even if retried: a single thread always produces the same blocks."""
    steps = {appending.rows: appending.target, **appending.behind}
    tag = uuid.uuid4().hex
    with report.ending(lambda: engine.cancel(tag)):
        for number, (source, target) in enumerate(steps.items()):
            settings: dict[str, Any] = {
                **SAME_BLOCKS,
                **once(f"{appending.token}/{number}" if number else appending.token),
                **tagged(tag),
            }
            if appending.behind:
                settings |= without_views(target)
            _append(engine, f"INSERT INTO {target} SELECT * FROM {source}", settings, report, forwarding)


def _append(engine: Engine, statement: str, settings: Settings, report: Report, forwarding: Forwarding) -> None:
    wait = 0.5
    while True:
        try:
            engine.execute(statement, settings=settings)
        except EngineError as error:
            if report.stopped or not (is_passing(error) or forwarding.sever(error)):
                raise
            _LOGGER.warning("rows of a job could not be appended: %s; it is tried again", error.message)
            time.sleep(wait)
            wait = min(2.0, wait * 2)
        else:
            return
