"""Copy pipes: rows of a query into a data source, appended or as its new content."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from clickpipe.catalog import Live
from clickpipe.compiler import Composer, CopyPipe
from clickpipe.config import environment_secret
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, EngineError, Settings
from clickpipe.jobs.report import Report
from clickpipe.query import hide_secrets, judge
from clickpipe.sql import quote_identifier
from clickpipe.template import Binder, BoundSQL, Secrets

# Rows as they are, whatever the target's engine; no merge changes in which blocks they are read.
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
) -> int:
    """Run a copy pipe now and return how many rows it wrote.

    `replace` is atomic for readers: the new rows are written to a table beside the target, which then
    takes the target's name in one exchange. `append` writes beside it first too, so that a query that fails or
    is cancelled leaves nothing behind. `relieve` is asked whether it has removed what made an insert fail: it is made
    again then. Raises ClickpipeError 404 for an unknown copy pipe, what its template raises,
    EngineError, and JobCancelled.
    """
    copy = live.compiled.copies.get(name)
    if copy is None:
        message = f"The pipe '{name}' is not a copy pipe"
        raise ClickpipeError(message, status=404, code="not_found")
    mode = mode or copy.mode
    if mode not in {"append", "replace"}:
        message = f"The copy mode is append or replace, not '{mode}'"
        raise ClickpipeError(message, code="bad_mode")
    binder = Binder(live.compiled.known_names, secret)
    given = {"job_timestamp": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"), **values}
    composed = Composer(live.compiled.project, live.compiled.reader, live.table).pipe(copy.pipe, given, binder)
    judge(engine, live, composed, live.compiled.rules.copy_sources)
    try:
        bound = BoundSQL(composed.text, binder.params, binder.settings)
        return _write(engine, live, copy, bound, mode, report or Report(), relieve)
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
    beside = f"{target[:-1]}_copy_{uuid.uuid4().hex[:12]}`"
    plain = _PLAIN if mode == "append" else ""
    engine.execute(f"CREATE TABLE {beside} AS {target}{plain}")
    try:
        tag = uuid.uuid4().hex
        with report.stoppable(lambda: engine.cancel(tag)):
            settings = {**bound.settings, "log_comment": tag}
            engine.execute(f"INSERT INTO {beside} ({columns})\n{bound.text}", bound.params, settings=settings)
        report.check()
        written = _rows(engine, beside)
        if mode == "append":
            _append(engine, beside, target, relieve)
        else:
            engine.execute(f"EXCHANGE TABLES {target} AND {beside}")
    finally:
        engine.execute(f"DROP TABLE IF EXISTS {beside}")
    return written


def _append(engine: Engine, source: str, target: str, relieve: Callable[[EngineError], bool]) -> None:
    """Append all rows; once, also when it is tried again: one thread reads the same blocks each time."""
    settings: Settings = {
        "max_threads": 1,
        "max_insert_threads": 1,
        "insert_deduplicate": 1,
        "insert_deduplication_token": uuid.uuid4().hex,
    }
    statement = f"INSERT INTO {target} SELECT * FROM {source}"
    try:
        engine.execute(statement, settings=settings)
    except EngineError as error:
        if not relieve(error):
            raise
        engine.execute(statement, settings=settings)


def _rows(engine: Engine, table: str) -> int:
    return int(json.loads(engine.execute(f"SELECT count() FROM {table}", output="JSONCompact").body)["data"][0][0])
