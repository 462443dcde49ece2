"""Copy pipes: rows of a query into a data source, appended or as its new content."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from clickpipe.catalog import Live
from clickpipe.compiler import Composer, CopyPipe
from clickpipe.config import environment_secret
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, EngineError, Settings
from clickpipe.ingest import Probe, has_views, is_passing
from clickpipe.jobs.report import Report
from clickpipe.query import hide_secrets, judge
from clickpipe.sql import quote_identifier
from clickpipe.template import Binder, BoundSQL, Secrets

# Rows as they are, whatever the target's engine; no merge changes in which blocks they are read.
_BESIDE = "_copy_"  # in the names of tables that rows are written to first
_SAME_BLOCKS: Settings = {"max_threads": 1, "max_insert_threads": 1}
_LOGGER = logging.getLogger(__name__)
_PLAIN = " ENGINE = MergeTree ORDER BY tuple() SETTINGS max_bytes_to_merge_at_max_space_in_pool = 1"


def run_copy(
    engine: Engine,
    live: Live,
    name: str,
    values: Mapping[str, Any],
    mode: str | None = None,
    secret: Secrets = environment_secret,
    report: Report | None = None,
    relieve: Callable[[EngineError], bool] = lambda _: False,
    before: Mapping[str, Any] | None = None,
) -> int:
    """Run a copy pipe now and return how many rows it wrote.

    `replace` is atomic for readers: the new rows are written to a table beside the target, which then
    takes the target's name in one exchange. `append` writes beside it first too, and asks the views behind the target:
    a query that fails or is cancelled, and a view that refuses a row, leave nothing behind. From then on it is told to
    `report`, and carried out whatever happens: after a stop with `before`, what was reported. `relieve` is asked
    whether it has removed what made an insert fail: it is made again then. Raises ClickpipeError 404 for an unknown
    copy pipe, what its template raises, EngineError, JobCancelled and JobStopped.
    """
    copy = live.compiled.copies.get(name)
    if copy is None:
        message = f"The pipe '{name}' is not a copy pipe"
        raise ClickpipeError(message, status=404, code="not_found")
    mode = mode or copy.mode
    if mode not in {"append", "replace"}:
        message = f"The copy mode is append or replace, not '{mode}'"
        raise ClickpipeError(message, code="bad_mode")
    report = report or Report()
    if before and before.get("appending"):
        return _go_on(engine, live, copy, before, report, relieve)
    binder = Binder(live.compiled.known_names, secret)
    given = {"job_timestamp": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"), **values}
    composed = Composer(live.compiled.project, live.compiled.reader, live.table).pipe(copy.pipe, given, binder)
    judge(engine, live, composed, live.compiled.rules.copy_sources)
    try:
        bound = BoundSQL(composed.text, binder.params, binder.settings)
        return _write(engine, live, copy, bound, mode, report, relieve)
    except EngineError as error:
        error.message = hide_secrets(error.message, binder.params)
        raise


def _write(
    engine: Engine,
    live: Live,
    copy: CopyPipe,
    bound: BoundSQL,
    mode: str,
    report: Report,
    relieve: Callable[[EngineError], bool],
) -> int:
    columns = ", ".join(quote_identifier(c.name) for c in engine.describe(bound.text, bound.params))
    target = live.physical.tables[copy.target]
    beside = f"{target[:-1]}{_BESIDE}{uuid.uuid4().hex[:12]}`"
    plain = _PLAIN if mode == "append" else ""
    begun = False  # to append: it is carried out then
    engine.execute(f"CREATE TABLE {beside} AS {target}{plain}")
    try:
        tag = uuid.uuid4().hex
        with report.stoppable(lambda: engine.cancel(tag)):
            settings = {**bound.settings, "log_comment": tag}
            engine.execute(f"INSERT INTO {beside} ({columns})\n{bound.text}", bound.params, settings=settings)
        report.check()
        written = _rows(engine, beside)
        if mode == "append":
            _ask_views(engine, live, copy.target, beside)
            begun = True
            report({"rows": written, "appending": beside, "target": target})
            _append(engine, beside, target, report, relieve)
            begun = False
        else:
            engine.execute(f"EXCHANGE TABLES {target} AND {beside}")
    finally:
        if not begun:
            engine.execute(f"DROP TABLE IF EXISTS {beside}")
    return written


def _go_on(
    engine: Engine,
    live: Live,
    copy: CopyPipe,
    before: Mapping[str, Any],
    report: Report,
    relieve: Callable[[EngineError], bool],
) -> int:
    """Append the rest of the rows, as a stopped server had begun to."""
    beside, target = before["appending"], live.physical.tables[copy.target]
    if target != before["target"]:
        engine.execute(f"DROP TABLE IF EXISTS {beside}")
        message = f"The server stopped while rows were appended to '{copy.target}', and it was deployed anew since."
        raise ClickpipeError(message, code="copy_cut_off")
    _append(engine, beside, target, report, relieve)
    engine.execute(f"DROP TABLE IF EXISTS {beside}")
    return int(before["rows"])


def _ask_views(engine: Engine, live: Live, target: str, beside: str) -> None:
    """Raise EngineError for a row that a view behind the target, or the target, refuses."""
    if not has_views(live, target):
        return
    probe = Probe(engine, live, target, f"copy_{uuid.uuid4().hex[:12]}")
    try:
        engine.execute(f"INSERT INTO {probe.table} SELECT * FROM {beside}", settings=_SAME_BLOCKS)
    except EngineError as error:
        where, why = probe.refused_by(error)
        error.message = f"Nothing was written: {where} refuses a row: {why}"
        raise
    finally:
        probe.drop()


def _append(engine: Engine, source: str, target: str, report: Report, relieve: Callable[[EngineError], bool]) -> None:
    """Append all rows; once, also when it is tried again: one thread reads the same blocks each time."""
    tag, wait = uuid.uuid4().hex, 0.5
    token = source.rpartition(_BESIDE)[2].strip("`")
    settings: Settings = {
        **_SAME_BLOCKS,
        "insert_deduplicate": 1,
        "insert_deduplication_token": token,
        "log_comment": tag,
    }
    with report.ending(lambda: engine.cancel(tag)):
        while True:
            try:
                engine.execute(f"INSERT INTO {target} SELECT * FROM {source}", settings=settings)
            except EngineError as error:
                if report.stopped or not (is_passing(error) or relieve(error)):
                    raise
                _LOGGER.warning("rows of a copy could not be appended: %s; it is tried again", error.message)
                time.sleep(wait)
                wait = min(2.0, wait * 2)
            else:
                return


def _rows(engine: Engine, table: str) -> int:
    return int(json.loads(engine.execute(f"SELECT count() FROM {table}", output="JSONCompact").body)["data"][0][0])
