"""Materialized views of a workspace, populated as jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any

from clickpipe.catalog import Job
from clickpipe.jobs import Population, Report, run_population, view_of
from clickpipe.query import QueryRunner, compose_condition
from clickpipe.runtime.services import Services


def start_population(
    services: Services,
    workspace: str,
    queries: QueryRunner,
    held: Callable[[], AbstractContextManager[None]],
    replaced: Callable[[str], None],
    wanted: Population,
) -> Job:
    """Start a job that populates a view; `held` keeps tables as they are meanwhile, `replaced` is told of the target.

    Raises ClickpipeError 404, 400 for what is no view and for a bad condition.
    """
    live = queries.live()
    view = view_of(live, wanted.pipe)
    if wanted.condition:
        wanted = replace(wanted, condition=compose_condition(services.engine, live, wanted.condition))

    def work(report: Report) -> Mapping[str, Any]:
        with held():
            report.check()
            pause = partial(services.ingester.paused, workspace)
            rows = run_population(services.engine, queries.live(), wanted, pause, report)
            if wanted.truncate:
                replaced(view.target)
        return {"rows": rows, "datasource": view.target}

    return services.jobs.submit(workspace, "populateview", wanted.pipe, work)
