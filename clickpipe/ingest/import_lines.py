"""A part of a file made rows: staged, inserted, what does not fit in quarantine."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any

from clickpipe.catalog import Live
from clickpipe.engine import Engine, Settings
from clickpipe.ingest.body import Lines
from clickpipe.ingest.insert import ONE_THREAD, Relieve, StagedRows, insert_staged
from clickpipe.ingest.judge import Failure, is_passing
from clickpipe.ingest.mapping import RowMapping
from clickpipe.ingest.probe import Probe, has_views

_LOGGER = logging.getLogger(__name__)


class LinesWriter:
    """Writes lines that are not in the log: of files."""

    def __init__(self, engine: Engine, relieve: Relieve) -> None:
        """Write through `engine`; `relieve` is asked when an insert fails: see `insert_staged`."""
        self._engine = engine
        self._relieve = relieve

    def insert(
        self,
        live: Live,
        name: str,
        mapping: RowMapping,
        import_id: str,
        lines: Lines,
        token: str,
        check: Callable[[], None],
        *,
        views: bool,
    ) -> tuple[int, int]:
        """Insert lines; return how many rows were written, and how many are in quarantine.

        `check` is asked before it is tried again. With the same token, it is done once. Raises EngineError.
        """
        if not lines.data:
            return 0, 0
        made: list[Probe] = []

        def probe() -> Probe:
            if not made:
                made.append(Probe(self._engine, live, name, f"import_{import_id}", views=views))
            return made[0]

        self._engine.execute(mapping.create)
        try:
            with self._engine.lines([(import_id, lines.data)]) as rows:
                staging: Settings = {**ONE_THREAD, **mapping.settings([lines.data])}
                self._engine.execute(mapping.fill(rows), output="Null", settings=staging)
            body = self._engine.execute(mapping.count, {"ids": [import_id]}, output="JSONCompact").body
            found: list[list[Any]] = json.loads(body)["data"]
            good, bad = (int(found[0][1]), int(found[0][2])) if found else (0, 0)
            staged = StagedRows(mapping, good, bad, token, probe, ahead=views and has_views(live, name))
            refused = self._insert_staged(staged, check)
        finally:
            self._engine.execute(f"DROP TABLE IF EXISTS {mapping.table}")
            for one in made:
                one.drop()
        return good - refused, bad + refused

    def _insert_staged(self, staged: StagedRows, check: Callable[[], None]) -> int:
        """Insert; again and again while it fails for what passes: a part is not to be there by half."""
        wait = 0.5
        while True:
            try:
                return insert_staged(self._engine, staged, relieve=self._relieve).rows
            except Failure as error:
                if not is_passing(error):
                    raise
                _LOGGER.warning("a part of a file could not be inserted: %s; it is tried again", error)
                time.sleep(wait)
                wait = min(10.0, wait * 2)
                check()
