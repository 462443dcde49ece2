"""Drops a deleted workspace's temporary tables: for staging and for probing rows."""

from __future__ import annotations

from clickpipe.engine import Engine
from clickpipe.ingest.mapping import STAGED
from clickpipe.ingest.probe import PROBES
from clickpipe.sql import quote_identifier


def drop_leftovers(engine: Engine, workspace: str) -> None:
    """Drop the temporary tables of a workspace that no longer writes, views first. Raises EngineError."""
    for database in (PROBES, STAGED):
        found = engine.storage.tables(database)
        own = [name for name in found if name.startswith(f"{workspace}_")]
        own.sort(key=lambda name: found[name] != "MaterializedView")
        engine.storage.drop(f"{quote_identifier(database)}.{quote_identifier(name)}" for name in own)
