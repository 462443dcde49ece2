"""What is left in the engine of a workspace that is gone: tables in which rows were staged, and asked about."""

from __future__ import annotations

from clickpipe.engine import Engine
from clickpipe.ingest.mapping import STAGED
from clickpipe.ingest.probe import PROBES
from clickpipe.sql import quote_identifier


def drop_leftovers(engine: Engine, workspace: str) -> None:
    """Drop the tables of a workspace that nothing writes to any more, views first. Raises EngineError."""
    for database in (PROBES, STAGED):
        found = engine.storage.tables(database)
        own = [name for name in found if name.startswith(f"{workspace}_")]
        own.sort(key=lambda name: found[name] != "MaterializedView")
        engine.storage.drop(f"{quote_identifier(database)}.{quote_identifier(name)}" for name in own)
