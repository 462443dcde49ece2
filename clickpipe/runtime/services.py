"""What all workspaces of a running instance share."""

from __future__ import annotations

from dataclasses import dataclass

from anyio.from_thread import BlockingPortal

from clickpipe.auth import TokenIndex
from clickpipe.bus import Bus
from clickpipe.catalog import Catalog, Registry, SecretValues
from clickpipe.concurrency import Turns
from clickpipe.config import Settings
from clickpipe.deploy import Standbys
from clickpipe.engine import Engine
from clickpipe.ingest import Ingester
from clickpipe.jobs import JobRunner
from clickpipe.observe import IngestionLog, ServiceLog, StorageLog
from clickpipe.query import ConcurrencyLimiter, ResultCache
from clickpipe.runtime.folder import Uploads


@dataclass(slots=True)
class Services:
    """The parts of an instance that its workspaces use, all of them complete."""

    settings: Settings
    engine: Engine
    catalog: Catalog
    bus: Bus
    registry: Registry
    secrets: SecretValues
    tokens: TokenIndex
    standbys: Standbys
    service_log: ServiceLog
    storage_log: StorageLog
    ingestion_log: IngestionLog
    ingester: Ingester
    deletion_turns: Turns
    jobs: JobRunner
    limiter: ConcurrencyLimiter
    result_cache: ResultCache
    uploads: Uploads
    portal: BlockingPortal  # runs queries for callers without an event loop

    def prepare_service(self, database: str) -> None:
        """Bring a workspace's service data sources up to date for a query. Raises EngineError."""
        self.service_log.prepare(database)
        self.storage_log.write()
        self.service_log.flush()
