"""What a running instance provides to its workspaces."""

from __future__ import annotations

from typing import Protocol

from anyio.from_thread import BlockingPortal

from clickpipe.auth import TokenIndex
from clickpipe.catalog import Catalog
from clickpipe.config import Settings
from clickpipe.engine import Engine
from clickpipe.ingest import Ingester
from clickpipe.jobs import JobRunner
from clickpipe.observe import IngestionLog, ServiceLog
from clickpipe.query import ConcurrencyLimiter, ResultCache


class Services(Protocol):
    """An instance, as its workspaces see it."""

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
    portal: BlockingPortal  # runs queries for callers without an event loop

    def prepare_service(self, database: str) -> None:
        """Bring a workspace's service data sources up to date for a query. Raises EngineError."""
        ...
