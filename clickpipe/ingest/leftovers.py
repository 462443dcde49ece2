"""What is left in the engine of a workspace that is gone: tables in which rows were staged, and asked about."""

from __future__ import annotations

from clickpipe.engine import Engine
from clickpipe.ingest.mapping import STAGED
from clickpipe.ingest.probe import PROBES
from clickpipe.sql import quote_identifier


def drop_leftovers(engine: Engine, workspace: str) -> None:
    """Drop the tables of a workspace that nothing writes to any more. Raises EngineError."""
    sql = (
        "SELECT concat(database, '.', name) FROM system.tables "
        "WHERE database IN ({staged:String}, {probes:String}) AND startsWith(name, {owner:String}) "
        "ORDER BY engine != 'MaterializedView'"
    )
    params = {"staged": STAGED, "probes": PROBES, "owner": f"{workspace}_"}
    for table in engine.execute(sql, params, output="TSVRaw").body.decode().splitlines():
        database, _, name = table.partition(".")
        engine.execute(f"DROP TABLE IF EXISTS {quote_identifier(database)}.{quote_identifier(name)} SYNC")
