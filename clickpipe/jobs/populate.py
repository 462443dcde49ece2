"""Populates a materialized view: runs it on its source's existing rows, and adds the result to its target."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clickpipe.catalog import Live
from clickpipe.compiler import Composer, MaterializedView
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import IN_ORDER, UNMERGED, Engine, inline, insert_of_select, tagged
from clickpipe.ingest import DeployedTables
from clickpipe.jobs.appending import Appending, append_rows, ask_views
from clickpipe.jobs.report import Report
from clickpipe.sql import quote_identifier
from clickpipe.template import Binder

_BESIDE = "_populate_"  # in the names of temporary tables


@dataclass(frozen=True, slots=True)
class Population:
    """A request to populate the view of a pipe; `truncate` empties its target first.

    `condition` (checked and composed SQL) and `subset` (a fraction of 1) select among the rows of its source.
    """

    pipe: str
    truncate: bool = False
    condition: str = ""
    subset: float = 1.0


def view_of(live: Live, pipe: str) -> MaterializedView:
    """Return the materialized view of a pipe. Raises ClickpipeError: 404 if unknown, 400 if it is not a view."""
    view = live.compiled.views.get(pipe)
    if view is not None:
        return view
    if pipe in live.compiled.project.pipes:
        message = f"The pipe '{pipe}' is not a materialized view: there is nothing to populate."
        raise ClickpipeError(message, code="not_materialized")
    message = f"The pipe '{pipe}' does not exist"
    raise ClickpipeError(message, status=404, code="not_found")


def run_population(
    engine: Engine,
    live: Live,
    wanted: Population,
    tables: DeployedTables,
    report: Report,
    before: Mapping[str, Any] | None = None,
) -> int:
    """Populate a view, and return how many rows its target got.

    While events wait, the source is snapshotted and, if asked, the target emptied. Later rows reach
    the target through the view, so each row counts once. Views that read the target get the rows too. Progress is
    recorded through `report`; after a restart, `before` is what was recorded, and the job resumes there. Raises
    ClickpipeError, EngineError, JobCancelled and JobStopped.
    """
    view = view_of(live, wanted.pipe)
    source, target = live.physical.tables[view.source], live.physical.tables[view.target]
    begun = _begun(engine, before, source, target)
    kept = str(begun.get("kept") or f"{source[:-1]}{_BESIDE}{uuid.uuid4().hex[:12]}`")
    told: dict[str, Any] = {"kept": kept, "source": source, "target": target}
    made = [kept]
    try:
        if "kept" not in begun:
            with tables.events_paused():
                engine.storage.snapshot(kept, source)
                if wanted.truncate:
                    engine.storage.truncate(target)
                report(told)
        if "appending" not in begun:
            beside = f"{target[:-1]}{_BESIDE}{uuid.uuid4().hex[:12]}`"
            made.append(beside)
            rows = _work_out(engine, live, wanted, kept, beside, report)
            appending = ask_views(engine, live, view.target, beside)
            made += appending.behind
            told |= {**appending.as_dict(), "rows": rows}
            report(told)
        else:
            appending, rows = Appending.of(begun), int(begun["rows"])
            made += appending.tables
        if "appended" not in begun:
            append_rows(engine, appending, report, tables)
            report.tell({**told, "appended": True})
    finally:
        engine.storage.drop(made if not report.stopped else ())  # needed to resume after a restart
    return rows


def _begun(engine: Engine, before: Mapping[str, Any] | None, source: str, target: str) -> Mapping[str, Any]:
    """Return what was recorded before a restart; empty if there was no snapshot yet.

    Raises ClickpipeError if the source or target has another table now.
    """
    if not before or "kept" not in before:
        return {}
    if (before["source"], before["target"]) == (source, target):
        return before
    engine.storage.drop((before["kept"], *(Appending.of(before).tables if "appending" in before else ())))
    message = "The server stopped while the view was populated, and it was deployed anew since: populate it again."
    raise ClickpipeError(message, code="population_cut_off")


def _work_out(engine: Engine, live: Live, wanted: Population, kept: str, beside: str, report: Report) -> int:
    """Run the view on the snapshot into a new table, `beside`; return its number of rows."""
    view = view_of(live, wanted.pipe)
    source, target = live.physical.tables[view.source], live.physical.tables[view.target]
    read, chosen = kept, f"{kept[:-1]}_chosen`"
    in_order = IN_ORDER if engine.storage.kept_in_order([target]) else {}
    try:
        if where := _where(wanted):
            engine.storage.drop([chosen])
            engine.storage.create_like(chosen, source)
            engine.execute(f"INSERT INTO {chosen} SELECT * FROM {kept} WHERE {where}", settings=in_order)
            read = chosen
        binder = Binder(live.compiled.known_names)
        composed = Composer(live.compiled.project, live.compiled.reader, live.table).pipe(view.pipe, {}, binder)
        select = inline(composed.text, binder.params).replace(source, read)
        columns = ", ".join(quote_identifier(column.name) for column in engine.describe(select))
        engine.storage.create_like(beside, target)
        if engine.storage.has_parts(target):
            engine.execute(f"ALTER TABLE {beside} MODIFY SETTING {UNMERGED}")
        tag = uuid.uuid4().hex
        with report.stoppable(lambda: engine.cancel(tag)):
            engine.execute(insert_of_select(beside, columns, select, {**tagged(tag), **in_order}))
        report.check()
        return engine.storage.count(beside)
    finally:
        engine.storage.drop([chosen])


def _where(wanted: Population) -> str:
    parts = [f"({wanted.condition}\n)"] if wanted.condition else []
    parts += [f"rand() < {int(wanted.subset * 2**32)}"] if wanted.subset < 1 else []
    return " AND ".join(parts)
