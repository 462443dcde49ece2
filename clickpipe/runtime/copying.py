"""Starts a workspace's copy pipes, on schedule or on demand, and pauses their schedules."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from clickpipe.catalog import Job, resource_id
from clickpipe.compiler import CopyPipe
from clickpipe.diagnostics import ClickpipeError
from clickpipe.jobs import Report, Work, run_copy
from clickpipe.runtime.schedules import set_paused
from clickpipe.runtime.services import Services
from clickpipe.runtime.tables import LiveTables


class Copies:
    """The copy pipes of one workspace. Methods may be called from any thread."""

    def __init__(
        self,
        services: Services,
        tables: LiveTables,
        parameters: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Run copies of the deployment that has `tables`; `parameters` are stored with the jobs."""
        self._services = services
        self._tables = tables
        self._workspace = tables.workspace
        self._parameters = parameters

    def start(self, name: str, values: Mapping[str, Any], mode: str | None = None) -> Job:
        """Start a copy pipe as a job. Raises ClickpipeError 404 if there is no such copy pipe."""
        self._require(name)
        parameters = {"values": dict(values), "mode": mode, **self._parameters}
        work = self.work(name, values, mode)
        return self._services.jobs.submit(self._workspace, "copy", name, work, parameters)

    def work(
        self, name: str, values: Mapping[str, Any], mode: str | None, before: Mapping[str, Any] | None = None
    ) -> Work:
        """Return the work of a copy job; `before` is what it had reported before a restart."""
        return partial(self._run, name, values, mode, before)

    def replaces(self, name: str, mode: str | None) -> bool:
        """Return whether the copy pipe `name`, if it exists, replaces the rows of its target."""
        found = self._tables.live().compiled.copies.get(name)
        return found is not None and (mode or found.mode) == "replace"

    def start_due(self, name: str) -> Job | None:
        """Start a copy that is due, unless its schedule is paused or its previous run still goes on.

        It is also skipped if it would replace rows of a target that a running deployment is changing.
        """
        if name in self.paused() or self._services.jobs.is_running(self._workspace, "copy", name):
            return None
        if self.replaces(name, None) and self._tables.is_changing(self._tables.live().compiled.copies[name].target):
            return None
        return self.start(name, {})

    def paused(self) -> frozenset[str]:
        """Return the names of copy pipes with a paused schedule."""
        return self._services.catalog.paused(self._workspace)

    def pause(self, name: str, *, paused: bool) -> None:
        """Pause or resume a copy pipe's schedule. Raises ClickpipeError: 404 if unknown, 400 without a schedule."""
        set_paused(self._services.catalog, self._workspace, self._require(name), paused=paused)

    def _require(self, name: str) -> CopyPipe:
        found = self._tables.live().compiled.copies.get(name)
        if found is None:
            message = f"The pipe '{name}' is not a copy pipe"
            raise ClickpipeError(message, status=404, code="not_found")
        return found

    def _run(
        self,
        name: str,
        values: Mapping[str, Any],
        mode: str | None,
        before: Mapping[str, Any] | None,
        report: Report,
    ) -> Mapping[str, Any]:
        started = time.monotonic()
        with self._tables.held():
            report.check()
            live = self._tables.live()
            if self.replaces(name, mode):
                self._services.ingester.settle(self._workspace)
            secret = partial(self._services.secrets.value, self._workspace)
            rows = run_copy(self._services.engine, live, name, values, mode, secret, report, self._tables, before)
            if (mode or live.compiled.copies[name].mode) == "replace":
                self._tables.replaced(live.compiled.copies[name].target)
        target, pipe_id = live.compiled.copies[name].target, resource_id(self._workspace, "pipe", name)
        told: dict[str, Any] = {"rows": rows, "written_rows": rows, "pipe_name": name, "pipe_id": pipe_id}
        self._services.ingestion_log.operation(
            self._workspace, target, "copy", seconds=time.monotonic() - started, **told
        )
        return {"rows": rows}
