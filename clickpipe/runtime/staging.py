"""Writes rows to the deployment in staging only, not to the live one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from clickpipe.catalog import Job, Live
from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import Importer
from clickpipe.query import QueryService
from clickpipe.runtime.copying import Copies
from clickpipe.runtime.data_in import DataIn
from clickpipe.runtime.services import Services
from clickpipe.template import Secrets


class StagingData(DataIn):
    """Writes to staging's own tables, and refuses those that it shares with the live deployment.

    Rows are written directly: each request waits until they can be read.
    """

    def __init__(
        self,
        services: Services,
        workspace: str,
        live: Callable[[], Live | None],
        queries: QueryService,
        held: Callable[[], AbstractContextManager[None]],
        paused: Callable[[], AbstractContextManager[None]],
        secret: Secrets,
    ) -> None:
        """Write to the deployment that `queries` reads, not to the `live` one.

        `held` keeps deployments away within its block, `paused` inserts as well; `secret` is for copies.
        """
        self._services = services
        self._live = live
        self._held = held
        self.paused = paused
        self._outdate = lambda _: None
        self.sever_standby = lambda _: False
        self.id = workspace
        self.queries = queries
        self._importer = Importer(
            services.engine,
            self.id,
            self.queries.live,
            held,
            lambda: services.ingester.paused(self.id),
            services.ingestion_log,
        )
        self._parameters = {"deployment": "staging"}
        self._copies = Copies(
            services,
            self.id,
            self.queries.live,
            held,
            secret,
            self._outdate,
            self.sever_standby,
            parameters=self._parameters,
        )

    def _writable(self, table: str) -> None:
        """Raise ClickpipeError 409 for a table that the live deployment also uses."""
        live, staging = self._live(), self.queries.live()
        if live is not None and live.physical.tables.get(table) == staging.physical.tables.get(table):
            message = (
                f"'{table}' is the same in staging and in the live deployment: what is written to it is live. "
                "Write to the live one, without __tb__deployment=staging."
            )
            raise ClickpipeError(message, status=409, code="shared_with_live")

    def copy(self, name: str, values: Mapping[str, Any] | None = None, mode: str | None = None) -> Job:
        """Start a copy pipe of staging as a job. Raises ClickpipeError: 404 if unknown, 409 for a shared target."""
        found = self.queries.live().compiled.copies.get(name)
        if found is not None:
            self._writable(found.target)
        return self._copies.start(name, values or {}, mode)
