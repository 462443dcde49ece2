"""Jobs that populate or rebuild a workspace's materialized views."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any

from clickpipe.catalog import Job
from clickpipe.deploy import rebuild_target
from clickpipe.engine import EngineError
from clickpipe.jobs import Population, Report, Work, run_population, view_of
from clickpipe.query import QueryService, compose_condition
from clickpipe.runtime.services import Services


def population(
    services: Services,
    workspace: str,
    queries: QueryService,
    held: Callable[[], AbstractContextManager[None]],
    replaced: Callable[[str], None],
    wanted: Population,
    sever: Callable[[EngineError], bool],
    before: Mapping[str, Any] | None = None,
) -> Work:
    """Return the work of a job that populates a view.

    `held` keeps deployments away meanwhile, `replaced` is called with the target if it is emptied first, `sever` is as
    for `run_copy`; `before` is what the job had reported before a restart. Raises ClickpipeError: 404 if there is no
    such pipe, 400 if it is not a view or the condition is bad.
    """
    view = view_of(queries.live(), wanted.pipe)
    if wanted.condition:
        compose_condition(services.engine, queries.live(), wanted.condition)

    def work(report: Report) -> Mapping[str, Any]:
        with held():
            report.check()
            live, pause = queries.live(), partial(services.ingester.paused, workspace)
            where = compose_condition(services.engine, live, wanted.condition) if wanted.condition else ""
            rows = run_population(services.engine, live, replace(wanted, condition=where), pause, report, before, sever)
            if wanted.truncate:
                replaced(view.target)
        return {"rows": rows, "datasource": view.target}

    return work


def rebuilding(
    services: Services,
    workspace: str,
    queries: QueryService,
    held: Callable[[], AbstractContextManager[None]],
    replaced: Callable[[str], None],
    view: str,
) -> Work:
    """Return the work of a job that rebuilds a view's target; `held` and `replaced` are as for `population`."""

    def work(report: Report) -> Mapping[str, Any]:
        with held():
            live, tag = queries.live(), uuid.uuid4().hex
            with report.stoppable(lambda: services.engine.cancel(tag)):
                paused, told = partial(services.ingester.paused, workspace), lambda text: report({"progress": text})
                rows = rebuild_target(services.engine, live, view, paused, told, tag)
            replaced(live.compiled.views[view].target)
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
