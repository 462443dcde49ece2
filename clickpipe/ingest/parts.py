"""Back-pressure: delays inserts so that parts are merged faster than they are created."""

from __future__ import annotations

import time
from collections import deque

from clickpipe.catalog import Live
from clickpipe.engine import Engine, split_table
from clickpipe.ingest.judge import Failure

_MANY, _WITHIN = 20, 2.0  # after this many inserts within this many seconds, check the number of parts
_PARTS, _TOO_MANY_PARTS = 150, 300  # per partition; between these, inserts are delayed by up to a second


def hold_back(engine: Engine, live: Live | None, recent: deque[float]) -> float:
    """Return by how many seconds to delay the next insert; `recent` are the times of earlier ones."""
    now = time.monotonic()
    recent.append(now)
    if len(recent) <= _MANY:
        return 0.0
    first = recent.popleft()
    if now - first > _WITHIN or live is None:
        return 0.0
    recent.clear()
    database, _ = split_table(next(iter(live.physical.tables.values())))
    try:
        parts = engine.storage.most_parts(database)
    except Failure:
        return 0.0
    return min(1.0, max(0.0, (parts - _PARTS) / (_TOO_MANY_PARTS - _PARTS)))
