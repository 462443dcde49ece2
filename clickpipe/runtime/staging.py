"""Rows written to the deployment that waits in staging, and not to the live one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from clickpipe.catalog import Job
from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import Importer
from clickpipe.runtime.copying import Copies
from clickpipe.runtime.data_in import DataIn

if TYPE_CHECKING:
    from clickpipe.runtime.instance import Instance
    from clickpipe.runtime.workspace import Workspace


class StagingData(DataIn):
    """Writes to staging's own tables; those that it shares with the live deployment are refused.

    Rows are written at once: each request waits until they can be read.
    """

    def __init__(
        self,
        instance: Instance,
        workspace: Workspace,
        held: Callable[[], AbstractContextManager[None]],
        paused: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """Write while `held` keeps deployments away, and replace while `paused` holds inserts."""
        self._instance = instance
        self._workspace = workspace
        self._held = held
        self.paused = paused
        self._outdate = lambda _: None
        self.relieve = lambda _: False
        self.id = workspace.id
        self.queries = workspace.staging_queries
        self._importer = Importer(
            instance.engine,
            self.id,
            self.queries.live,
            held,
            lambda: instance.ingester.paused(self.id),
            instance.ingestion_log,
        )
        self._parameters = {"deployment": "staging"}
        self._copies = Copies(
            instance,
            self.id,
            self.queries.live,
            held,
            workspace.secret,
            self._outdate,
            self.relieve,
            self._parameters,
        )

    def _writable(self, table: str) -> None:
        """Raise ClickpipeError 409 for a table of the live deployment's."""
        live, staging = self._workspace.live, self.queries.live()
        if live is not None and live.physical.tables.get(table) == staging.physical.tables.get(table):
            message = (
                f"'{table}' is the same in staging and in the live deployment: what is written to it is live. "
                "Write to the live one, without __tb__deployment=staging."
            )
            raise ClickpipeError(message, status=409, code="shared_with_live")

    def copy(self, name: str, values: Mapping[str, Any] | None = None, mode: str | None = None) -> Job:
        """Start a copy pipe of staging as a job. Raises ClickpipeError 404, 409 for a target that is live's too."""
        found = self.queries.live().compiled.copies.get(name)
        if found is not None:
            self._writable(found.target)
        return self._copies.start(name, values or {}, mode)
