"""Rebuilds a view's target from its sources, while inserts go on and readers see the old rows.

While inserts are paused for a moment, we snapshot each source and create a second view that fills a new table. Then we
read the snapshots, without hurry, into a table that no view reads, share its files with the new table, and swap that
with the target. Views that read the target keep the rows they have made.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from clickpipe.catalog import Live
from clickpipe.compiler import Composer, MaterializedView
from clickpipe.deploy.tables import Progress
from clickpipe.deploy.writes import Events
from clickpipe.diagnostics import ClickpipeError, did_you_mean
from clickpipe.engine import IN_ORDER, Engine, inline, insert_of_select, tagged
from clickpipe.sql import quote_identifier
from clickpipe.template import Binder


def rebuild_target(engine: Engine, live: Live, name: str, events: Events, progress: Progress, tag: str) -> int:
    """Rebuild the target of the view `name`, from all views that fill it; return its number of rows.

    `events` wait for two moments. The long statements carry `tag`, for `cancel`. Raises ClickpipeError
    (404 if there is no such view), EngineError.
    """
    views = _feeding(live, name)
    target = live.physical.tables[views[0].target]
    in_order = bool(engine.storage.kept_in_order([target]))  # later rows are the ones that count
    mark = uuid.uuid4().hex[:8]
    beside, history = (f"{target[:-1]}_{ending}_{mark}`" for ending in ("populate", "populated"))
    cuts = {source: f"{live.physical.tables[source][:-1]}_cut_{mark}`" for source in {view.source for view in views}}
    second = [f"{target[:-1]}_view_{number}_{mark}`" for number in range(len(views))]
    with _removed(engine, [*second, beside, history, *cuts.values()]):
        with events.events_paused():
            for table in (beside, history):
                engine.storage.create_like(table, target)
            for source, cut in cuts.items():
                engine.storage.snapshot(cut, live.physical.tables[source])
            for view, physical in zip(views, second, strict=True):
                select = _select(live, view, {})
                engine.execute(f"CREATE MATERIALIZED VIEW {physical} TO {beside} AS\n{select}")
        for view in views:
            progress(f"filling {view.target} by {view.name}")
            select = _select(live, view, cuts)
            columns = ", ".join(quote_identifier(column.name) for column in engine.describe(select))
            settings = {**tagged(tag), **(IN_ORDER if in_order else {})}
            engine.execute(insert_of_select(history, columns, select, settings))
        with events.events_paused():
            whole, rest = (history, beside) if in_order else (beside, history)
            engine.storage.share(whole, rest)
            engine.storage.drop(second)
            engine.storage.swap(target, whole)
        return engine.storage.count(target)


def _feeding(live: Live, name: str) -> list[MaterializedView]:
    """Return all views that fill the same target as `name`. Raises ClickpipeError."""
    views = live.compiled.views
    if name not in views:
        hint = did_you_mean(name, views)
        message = f"There is no materialized view '{name}'" + (f": {hint}" if hint else "")
        raise ClickpipeError(message, status=404, code="not_found")
    target = views[name].target
    found = [view for view in views.values() if view.target == target]
    sources = live.compiled.data_sources
    for table in {target, *(view.source for view in found)} & sources.keys():  # quarantines always are MergeTrees
        engine = sources[table].engine.name.text
        if not engine.endswith("MergeTree"):
            message = f"'{table}' has the engine {engine}: only tables of the MergeTree family can be filled anew."
            raise ClickpipeError(message, code="not_populatable")
    return found


def _select(live: Live, view: MaterializedView, instead: Mapping[str, str]) -> str:
    binder = Binder()

    def table(name: str) -> str | None:
        return instead.get(name) if name == view.source and instead else live.physical.tables.get(name)

    composed = Composer(live.compiled.project, live.compiled.reader, table).pipe(view.pipe, {}, binder)
    return inline(composed.text, binder.params)


@contextmanager
def _removed(engine: Engine, tables: list[str]) -> Iterator[None]:
    """Drop these tables and views at the end of the block, in this order."""
    try:
        yield
    finally:
        engine.storage.drop(tables)
