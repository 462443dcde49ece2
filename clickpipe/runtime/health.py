"""Whether a server is ready, and what its operator should look at."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from clickpipe.catalog import Registry, without_physical_names
from clickpipe.engine import Engine, EngineError, lost_tables
from clickpipe.ingest import Ingester
from clickpipe.runtime.missing import told
from clickpipe.runtime.partitions import crowded


class Health:
    """Answers `/v0/ready`."""

    def __init__(
        self, engine: Engine, ingester: Ingester, workspaces: Registry, folder: Path, missing: Sequence[str]
    ) -> None:
        """Look at these parts; `missing` are tables and views that were missing at the start."""
        self._engine = engine
        self._ingester = ingester
        self._workspaces = workspaces
        self._folder = folder
        self._missing = missing

    def not_ready(self) -> str:
        """Return why the server is not ready for requests, or ''."""
        try:
            self._engine.execute("SELECT 1", output="Null")
        except (EngineError, RuntimeError) as error:
            return f"the engine does not answer: {without_physical_names(str(error))}"
        if not os.access(self._folder, os.W_OK):
            return "the data folder cannot be written to"
        return ""

    def problems(self) -> list[str]:
        """Return problems to look at although requests are answered. They name nothing, as anybody may ask."""
        found = []
        if failing := len({name for name, _ in self._ingester.failing()}):
            found.append(f"acknowledged events of {failing} data sources cannot be inserted yet: see the log")
        if tables := crowded(self._engine, self._workspaces.all_live()):
            most = max(count for _, count, _, _ in tables)
            found.append(f"{len(tables)} data sources have very many partitions, up to {most}: see the log")
        return found + told(self._missing, lost_tables(self._folder / "engine"), damaged(self._engine))


def damaged(engine: Engine) -> list[tuple[str, int]]:
    """Return the tables with damaged parts, and how many parts that is."""
    try:
        return list(engine.storage.damaged("ws_").items())
    except (EngineError, RuntimeError):
        return []
