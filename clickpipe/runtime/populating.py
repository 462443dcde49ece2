"""Jobs that populate or rebuild a workspace's materialized views."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clickpipe.catalog import Job
from clickpipe.deploy import rebuild_target
from clickpipe.jobs import Population, Report, Work, run_population, view_of
from clickpipe.query import compose_condition
from clickpipe.runtime.services import Services
from clickpipe.runtime.tables import LiveTables


def population(
    services: Services, tables: LiveTables, wanted: Population, before: Mapping[str, Any] | None = None
) -> Work:
    """Return the work of a job that populates a view; `before` is what it had reported before a restart.

    Raises ClickpipeError: 404 if there is no such pipe, 400 if it is not a view or the condition is bad.
    """
    view = view_of(tables.live(), wanted.pipe)
    if wanted.condition:
        compose_condition(services.engine, tables.live(), wanted.condition)

    def work(report: Report) -> Mapping[str, Any]:
        with tables.held():
            report.check()
            live = tables.live()
            where = compose_condition(services.engine, live, wanted.condition) if wanted.condition else ""
            rows = run_population(services.engine, live, replace(wanted, condition=where), tables, report, before)
            if wanted.truncate:
                tables.replaced(view.target)
        return {"rows": rows, "datasource": view.target}

    return work


def rebuilding(services: Services, tables: LiveTables, view: str) -> Work:
    """Return the work of a job that rebuilds a view's target."""

    def work(report: Report) -> Mapping[str, Any]:
        with tables.held():
            live, tag = tables.live(), uuid.uuid4().hex
            with report.stoppable(lambda: services.engine.cancel(tag)):
                rows = rebuild_target(services.engine, live, view, tables, lambda text: report({"progress": text}), tag)
            tables.replaced(live.compiled.views[view].target)
        return {"rows": rows}

    return work


def may_be_repeated(job: Job) -> bool:
    """Return whether an interrupted population can be resumed: not if an older build had begun to insert."""
    return job.kind == "populateview" and ("appending" in job.result or not job.result.get("inserting"))


def why_not_repeated(job: Job) -> str:
    """Return the error message for a population that cannot be resumed."""
    return (
        "the server stopped before the job ended: some of its rows may be in, and rows that arrived meanwhile came "
        "through the view. "
        f"Make the whole target anew: clickpipe materialization populate {job.resource}"
    )
