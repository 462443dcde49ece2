"""Finds tables and views that the catalog lists but the engine lacks: files were lost or damaged, or are another's."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sized
from pathlib import Path

from clickpipe.catalog import Live
from clickpipe.deploy import layout
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, EngineError, split_table

_LOGGER = logging.getLogger(__name__)


def require_tables(engine: Engine, live: Iterable[Live], folder: Path) -> list[str]:
    """Return the data sources whose tables are missing, and the views that are and cannot be made anew; log each.

    Raises ClickpipeError if all are missing, so that no events are acknowledged that could not be stored.
    """
    live = list(live)
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
    return missing + [view for each in live for view in _without_view(engine, each, there)]


def told(missing: Sized, lost: Sized, damaged: Iterable[tuple[str, int]]) -> list[str]:
    """Return what `/v0/ready` says of tables that are missing, whose rows are lost, or that have damaged parts."""
    parts = sum(count for _, count in damaged)
    found = [
        (len(missing), "tables or views were missing at the start"),
        (len(lost), "tables lost their rows: their folders are gone"),
        (parts, "parts of tables are damaged"),
    ]
    return [f"{count} {text}: see the log" for count, text in found if count]


def _without_view(engine: Engine, live: Live, there: Mapping[str, Collection[str]]) -> list[str]:
    """Make a deployment's missing views anew: rows would pass them by. Return those for which that is impossible."""
    (database,) = {split_table(table)[0] for table in live.physical.tables.values()} or {""}
    tables = {split_table(table)[1] for table in live.physical.tables.values()}
    missing = set(live.physical.objects) - tables - set(there.get(database, ()))
    views = (
        {view.object.name: view.object.ddl for view in layout(live.compiled, database).views.values()}
        if missing
        else {}
    )
    left = []
    for name in sorted(missing):
        try:
            engine.execute(views[name])
        except (KeyError, EngineError):
            _LOGGER.exception("the view %s is missing, and rows pass it by: deploy it anew", name)
            left.append(name)
        else:
            _LOGGER.warning("the view %s was missing, and is made anew", name)
    return left
