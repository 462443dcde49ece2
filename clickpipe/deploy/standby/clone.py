"""Starts a workspace as a clone of another's live deployment, sharing its rows instead of copying them."""

from __future__ import annotations

from enum import StrEnum

from clickpipe.catalog import Live
from clickpipe.deploy.planning.physical import Layout
from clickpipe.deploy.tables import Tables
from clickpipe.deploy.writes import Writes
from clickpipe.engine import Engine


class Rows(StrEnum):
    """Which rows of each table a clone starts with: all, those of the last partition, or none."""

    ALL = "all"
    LAST = "last"
    NONE = "none"


def clone_tables(
    engine: Engine,
    tables: Tables,
    layout: Layout,
    source: Live,
    writes: Writes,
    rows: Rows,
) -> None:
    """Create the tables of a layout with the rows of another workspace's tables.

    Files are shared, which takes no time or space; later writes to either workspace do not affect the other. `writes`
    are the other's, which wait meanwhile, so that views' targets match their sources. Raises EngineError.
    """
    objects = layout.objects()
    tables.create([item for item in objects if not item.is_view])
    if rows is not Rows.NONE:
        with writes.paused():
            for name, into in layout.tables().items():
                _fill(engine, source.physical.tables[name], into, rows)
    tables.create([item for item in objects if item.is_view])


def _fill(engine: Engine, old: str, into: str, rows: Rows) -> None:
    if rows is Rows.ALL or not engine.storage.has_parts(old):
        engine.storage.fill(into, old)
    elif partitions := engine.storage.partitions([old]):
        engine.storage.share(into, old, max(partitions))
