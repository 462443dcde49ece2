"""An engine that is cut off at a statement, as by a kill."""

from __future__ import annotations

import re
from typing import Any, cast

from clickpipe.engine import Engine, EngineError, Queries, Storage

_CHANGES = re.compile(r"(INSERT INTO|CREATE TABLE|DROP TABLE IF EXISTS|EXCHANGE TABLES|TRUNCATE TABLE) `ws_")


class Dying:
    """Runs so many statements that change a workspace, and none after."""

    def __init__(self, engine: Engine, left: int) -> None:
        """Run `left` of them through `engine`."""
        self._engine, self.left = engine, left
        self.storage = Storage(cast(Queries, self))

    def __getattr__(self, name: str) -> Any:
        """Return what the engine has."""
        return getattr(self._engine, name)

    def execute(self, sql: str, *given: Any, **named: Any) -> Any:
        """Run a statement. Raises EngineError."""
        self.left -= bool(_CHANGES.match(sql))
        if self.left < 0:
            raise EngineError("Code: 1. DB::Exception: killed. (KILLED)")
        return self._engine.execute(sql, *given, **named)


def forget_memory(engine: Engine) -> None:
    """Drop what an import or a replay has in memory, which is gone with its process; what events have stays."""
    sql = (
        "SELECT concat(database, '.`', name, '`') FROM system.tables "
        "WHERE database IN ('clickpipe_probes', 'clickpipe_staged') AND NOT match(name, '^[0-9a-f]{16}_') "
        "ORDER BY engine != 'MaterializedView'"
    )
    for table in engine.execute(sql, output="TSVRaw").body.decode().splitlines():
        engine.execute(f"DROP TABLE IF EXISTS {table}")
