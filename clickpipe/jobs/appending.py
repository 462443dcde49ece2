"""Rows that a job has worked out, appended to a table: once, whatever happens meanwhile."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable

from clickpipe.catalog import Live
from clickpipe.engine import Engine, EngineError, Settings
from clickpipe.ingest import Probe, has_views, is_passing
from clickpipe.jobs.report import Report

_LOGGER = logging.getLogger(__name__)
_SAME_BLOCKS: Settings = {"max_threads": 1, "max_insert_threads": 1}
# Of a table whose rows are appended: no merge changes in which blocks they are read. PLAIN stands behind a CREATE
# TABLE: rows as they are, whatever the target's engine.
UNMERGED = "max_bytes_to_merge_at_max_space_in_pool = 1"
PLAIN = f" ENGINE = MergeTree ORDER BY tuple() SETTINGS {UNMERGED}"


def ask_views(engine: Engine, live: Live, target: str, beside: str) -> None:
    """Raise EngineError for a row that a view behind the target, or the target, refuses."""
    if not has_views(live, target):
        return
    probe = Probe(engine, live, target, f"job_{uuid.uuid4().hex[:12]}")
    try:
        engine.execute(f"INSERT INTO {probe.table} SELECT * FROM {beside}", settings=_SAME_BLOCKS)
    except EngineError as error:
        where, why = probe.refused_by(error)
        error.message = f"Nothing was written: {where} refuses a row: {why}"
        raise
    finally:
        probe.drop()


def append_rows(
    engine: Engine, source: str, target: str, token: str, report: Report, relieve: Callable[[EngineError], bool]
) -> None:
    """Append all rows; once, also when it is tried again: one thread reads the same blocks each time."""
    tag, wait = uuid.uuid4().hex, 0.5
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
                _LOGGER.warning("rows of a job could not be appended: %s; it is tried again", error.message)
                time.sleep(wait)
                wait = min(2.0, wait * 2)
            else:
                return


def count_rows(engine: Engine, table: str) -> int:
    """Return how many rows a table has. Raises EngineError."""
    return int(json.loads(engine.execute(f"SELECT count() FROM {table}", output="JSONCompact").body)["data"][0][0])
