"""Runs copy pipes: appends a query's rows to a data source, or replaces its rows with them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from clickpipe.catalog import Live
from clickpipe.compiler import CopyPipe
from clickpipe.config import environment_secret
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, insert_of_select, tagged
from clickpipe.ingest import NO_FORWARDING, PLAIN, Forwarding
from clickpipe.jobs.appending import Appending, append_rows, ask_views
from clickpipe.jobs.binding import bind, hiding_secrets
from clickpipe.jobs.report import JobCancelled, Report
from clickpipe.sql import quote_identifier
from clickpipe.template import BoundSQL, Secrets

_BESIDE = "_copy_"  # in the names of temporary tables


def run_copy(
    engine: Engine,
    live: Live,
    name: str,
    values: Mapping[str, Any],
    mode: str | None = None,
    secret: Secrets = environment_secret,
    report: Report | None = None,
    forwarding: Forwarding = NO_FORWARDING,
    before: Mapping[str, Any] | None = None,
) -> int:
    """Run a copy pipe now and return how many rows it wrote.

    `replace` is atomic for readers: the new rows go to a temporary table, which then swaps names with the target.
    `append` also writes to a temporary table first and tries the rows on the target's views, so that a failed or
    cancelled query, or a view that refuses a row, leaves nothing behind. Then it is recorded through `report` and will
    be completed whatever happens; after a restart, `before` is what was recorded. When an insert fails, `forwarding`
    is asked: if it has removed the cause, the insert is retried. Raises ClickpipeError (404 for an
    unknown copy pipe), what its template raises, EngineError, JobCancelled and JobStopped.
    """
    copy = live.compiled.copies.get(name)
    if copy is None:
        message = f"The pipe '{name}' is not a copy pipe"
        raise ClickpipeError(message, status=404, code="not_found")
    mode = mode or copy.mode
    if mode not in {"append", "replace"}:
        message = f"The copy mode is append or replace, not '{mode}'"
        raise ClickpipeError(message, code="bad_mode")
    report = report or Report()
    if before and before.get("appending"):
        return _go_on(engine, live, copy, before, report, forwarding)
    bound = bind(engine, live, copy.pipe, values, secret)
    with hiding_secrets(bound):
        return _write(engine, live, copy, bound, mode, report, forwarding)


def _write(
    engine: Engine,
    live: Live,
    copy: CopyPipe,
    bound: BoundSQL,
    mode: str,
    report: Report,
    forwarding: Forwarding,
) -> int:
    columns = ", ".join(quote_identifier(c.name) for c in engine.describe(bound.text, bound.params))
    target = live.physical.tables[copy.target]
    beside = f"{target[:-1]}{_BESIDE}{uuid.uuid4().hex[:12]}`"
    plain = PLAIN if mode == "append" else ""
    begun = False  # appending was recorded, and will be completed
    engine.storage.create_like(beside, target, plain)
    try:
        tag = uuid.uuid4().hex
        with report.stoppable(lambda: engine.cancel(tag)):
            settings = {**bound.settings, **tagged(tag)}
            engine.execute(insert_of_select(beside, columns, bound.text, settings), bound.params)
        report.check()
        written = engine.storage.count(beside)
        if mode == "append":
            appending = ask_views(engine, live, copy.target, beside)
            begun = True
            told = {"rows": written, **appending.as_dict()}
            try:
                report(told)
            except JobCancelled:
                begun = False
                appending.drop(engine)
                raise
            append_rows(engine, appending, report, forwarding)
            report.tell({**told, "appended": True})
            begun = False
            appending.drop(engine)
        else:
            engine.storage.swap(target, beside)
    finally:
        if not begun:
            engine.storage.drop([beside])
    return written


def _go_on(
    engine: Engine,
    live: Live,
    copy: CopyPipe,
    before: Mapping[str, Any],
    report: Report,
    forwarding: Forwarding,
) -> int:
    """Resume appending after a restart."""
    appending = Appending.of(before)
    if not {appending.target, *appending.behind.values()} <= set(live.physical.tables.values()):
        appending.drop(engine)
        message = f"The server stopped while rows were appended to '{copy.target}', and it was deployed anew since."
        raise ClickpipeError(message, code="copy_cut_off")
    if "appended" not in before:
        append_rows(engine, appending, report, forwarding)
        report.tell({**before, "appended": True})
    appending.drop(engine)
    return int(before["rows"])
