"""Finds tables that the catalog lists but the engine lacks: files were lost or belong to another installation."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from pathlib import Path

from clickpipe.catalog import Live
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, split_table

_LOGGER = logging.getLogger(__name__)


def require_tables(engine: Engine, live: Iterable[Live], folder: Path) -> list[str]:
    """Return the data sources whose tables are missing, and log each.

    Raises ClickpipeError if all are missing, so that no events are acknowledged that could not be stored.
    """
    known = [(name, table) for each in live for name, table in each.physical.tables.items()]
    there: dict[str, Collection[str]] = {}
    missing = []
    for name, table in known:
        database, own = split_table(table)
        if database not in there:
            there[database] = engine.storage.tables(database)
        if own not in there[database]:
            missing.append(name)
    if known and len(missing) == len(known):
        message = (
            f"The data of ClickHouse in {folder} has none of the {len(known)} tables that the catalog knows of, so "
            "clickpipe does not start. Restore both as they were when the server was last stopped; to begin anew, "
            "remove both: the folder and what is called catalog.* beside it."
        )
        raise ClickpipeError(message, status=503, code="tables_missing")
    for name in missing:
        _LOGGER.error("the table of '%s' is missing in %s: restore it, or remove the data source", name, folder)
    return missing
