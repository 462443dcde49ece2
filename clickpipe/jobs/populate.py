"""Population: the rows that a materialized view would have made of what its source holds, put into its target."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from clickpipe.catalog import Live
from clickpipe.compiler import Composer, MaterializedView
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, inline
from clickpipe.jobs.report import Report
from clickpipe.sql import quote_identifier
from clickpipe.template import Binder


@dataclass(frozen=True, slots=True)
class Population:
    """What is populated: the view of a pipe; `truncate` empties its target first.

    `condition` (SQL that was checked and composed) and `subset` (a part of 1) choose among the rows of its source.
    """

    pipe: str
    truncate: bool = False
    condition: str = ""
    subset: float = 1.0


def view_of(live: Live, pipe: str) -> MaterializedView:
    """Return the materialized view of a pipe. Raises ClickpipeError 404, 400 for another pipe."""
    view = live.compiled.views.get(pipe)
    if view is not None:
        return view
    if pipe in live.compiled.project.pipes:
        message = f"The pipe '{pipe}' is not a materialized view: there is nothing to populate."
        raise ClickpipeError(message, code="not_materialized")
    message = f"The pipe '{pipe}' does not exist"
    raise ClickpipeError(message, status=404, code="not_found")


def run_population(
    engine: Engine, live: Live, wanted: Population, pause: Callable[[], AbstractContextManager[None]], report: Report
) -> int:
    """Populate, and return how many rows the target got.

    In one moment, in which no event is written (`pause`), the source is kept as it is and the target emptied; rows that
    arrive from then on reach the target through the view, so that each counts once. Views that read the target get the
    rows too. Raises EngineError and JobCancelled.
    """
    view = view_of(live, wanted.pipe)
    source, target = live.physical.tables[view.source], live.physical.tables[view.target]
    name = f"_populate_{uuid.uuid4().hex[:12]}`"
    cut, chosen, beside = (f"{table[:-1]}{part}{name}" for table, part in ((source, ""), (source, "_s"), (target, "")))
    try:
        with pause():
            _keep(engine, source, cut)
            if wanted.truncate:
                engine.execute(f"TRUNCATE TABLE {target}")
        read = cut
        if where := _where(wanted):
            engine.execute(f"CREATE TABLE {chosen} AS {source}")
            engine.execute(f"INSERT INTO {chosen} SELECT * FROM {cut} WHERE {where}")
            read = chosen
        binder = Binder(live.compiled.known_names)
        composed = Composer(live.compiled.project, live.compiled.reader, live.table).pipe(view.pipe, {}, binder)
        select = inline(composed.text, binder.params).replace(source, read)
        columns = ", ".join(quote_identifier(column.name) for column in engine.describe(select))
        engine.execute(f"CREATE TABLE {beside} AS {target}")
        tag = uuid.uuid4().hex
        with report.stoppable(lambda: engine.cancel(tag)):
            engine.execute(f"INSERT INTO {beside} ({columns})\n{select}", settings={"log_comment": tag})
        report.check()
        body = engine.execute(f"SELECT count() FROM {beside}", output="JSONCompact").body
        report({"inserting": True})
        engine.execute(f"INSERT INTO {target} SELECT * FROM {beside}", settings={"insert_deduplicate": 0})
        return int(json.loads(body)["data"][0][0])
    finally:
        for table in (cut, chosen, beside):
            engine.execute(f"DROP TABLE IF EXISTS {table}")


def _keep(engine: Engine, source: str, cut: str) -> None:
    """Make a table with the rows of another as they are: its files where they can be shared, else a copy."""
    engine.execute(f"CREATE TABLE {cut} AS {source}")
    database, table = (part.strip("`") for part in source.split(".", 1))
    sql = "SELECT engine LIKE '%MergeTree' FROM system.tables WHERE database = {d:String} AND name = {t:String}"
    files = engine.execute(sql, {"d": database, "t": table}, output="TSVRaw").body.strip() == b"1"
    if files:
        engine.execute(f"ALTER TABLE {cut} ATTACH PARTITION ALL FROM {source}")
    else:
        engine.execute(f"INSERT INTO {cut} SELECT * FROM {source}")


def _where(wanted: Population) -> str:
    parts = [f"({wanted.condition}\n)"] if wanted.condition else []
    parts += [f"rand() < {int(wanted.subset * 2**32)}"] if wanted.subset < 1 else []
    return " AND ".join(parts)
