"""What a running instance has for its workspaces: the rooms below, put together once."""

from __future__ import annotations

from typing import Protocol

from clickpipe.auth import TokenIndex
from clickpipe.catalog import Catalog
from clickpipe.config import Settings
from clickpipe.engine import Engine
from clickpipe.ingest import Ingester
from clickpipe.jobs import JobRunner
from clickpipe.observe import IngestionLog, ServiceLog
from clickpipe.query import ConcurrencyLimiter, ResultCache


class Services(Protocol):
    """An instance, as its workspaces know it."""

    settings: Settings
    engine: Engine
    catalog: Catalog
    tokens: TokenIndex
    ingester: Ingester
    ingestion_log: IngestionLog
    service_log: ServiceLog
    jobs: JobRunner
    result_cache: ResultCache
    limiter: ConcurrencyLimiter

    def prepare_service(self, database: str) -> None:
        """Make a workspace's service data sources ready to be read: as they are now. Raises EngineError."""
        ...
