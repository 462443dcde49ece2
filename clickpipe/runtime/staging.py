"""Writes rows to the deployment in staging only, not to the live one."""

from __future__ import annotations

from clickpipe.query import QueryService
from clickpipe.runtime.data_in import DataIn
from clickpipe.runtime.services import Services
from clickpipe.runtime.tables import StagingTables


class StagingData(DataIn):
    """Writes to staging's own tables, and refuses those that it shares with the live deployment.

    Rows are written directly: each request waits until they can be read.
    """

    def __init__(self, services: Services, tables: StagingTables, queries: QueryService) -> None:
        """Write to `tables`, which `queries` reads."""
        super().__init__(services, tables, queries, parameters={"deployment": "staging"})
