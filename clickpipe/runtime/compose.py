"""Builds a running clickpipe: each part from complete ones, in order, so that a failed start closes what is open."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from anyio.from_thread import BlockingPortal, start_blocking_portal

from clickpipe.auth import TokenIndex
from clickpipe.bus import Bus, DeploymentPromoted, JobChanged, RowsReplaced
from clickpipe.catalog import Catalog, Registry, SecretValues
from clickpipe.concurrency import Turns
from clickpipe.config import Cipher, Settings, available_memory
from clickpipe.connect import GAUGES, Consumers
from clickpipe.deploy import Standbys
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import EmbeddedEngine, Engine, EngineError
from clickpipe.ingest import Ingester, WriteAheadLog
from clickpipe.jobs import CopySchedule, JobRunner
from clickpipe.observe import IngestionLog, KafkaLog, Metrics, QueryLog, ServiceLog, StorageLog
from clickpipe.query import ConcurrencyLimiter, ResultCache
from clickpipe.runtime.bucket_schedule import BucketSchedule
from clickpipe.runtime.folder import Uploads, open_folder
from clickpipe.runtime.health import Health, damaged
from clickpipe.runtime.maintenance import Maintenance
from clickpipe.runtime.missing import require_tables
from clickpipe.runtime.own_folder import own_cipher
from clickpipe.runtime.services import Services
from clickpipe.runtime.workspaces import Workspaces

_LOGGER = logging.getLogger(__name__)
_OWN_WORKERS = 4  # engine threads for ingestion, jobs and checks, besides those for callers' queries
_MOST_WORKERS = 64  # high, as statements are limited per workspace where they start: none should wait for another's


@dataclass(frozen=True, slots=True)
class App:
    """A running clickpipe. `is_new` says whether this was the folder's first start."""

    folder: Path
    cipher: Cipher | None
    services: Services
    log: WriteAheadLog
    query_log: QueryLog
    uploads: Uploads
    workspaces: Workspaces
    health: Health
    consumers: Consumers
    buckets: BucketSchedule
    schedule: CopySchedule
    maintenance: Maintenance
    metrics: Metrics
    is_new: bool
    recovered_segments: int


def open_app(data_dir: Path | None, settings: Settings, opened: ExitStack) -> App:
    """Open a data folder, or a temporary one, and start everything; `opened` closes it in reverse order.

    Raises ClickpipeError if another process has the folder open or the engine cannot open it.
    """
    kept = data_dir is not None
    folder = open_folder(data_dir, opened)
    cipher = own_cipher(folder, settings) if kept else None
    catalog = Catalog(folder / "catalog.sqlite", cipher)
    opened.callback(catalog.close)
    engine = _open_engine(folder, settings, in_memory=not kept)
    opened.callback(engine.close)
    portal = opened.enter_context(start_blocking_portal())  # for Python programs; a server has its own loop
    log = WriteAheadLog(folder / "wal")
    services, query_log = _open_services(settings, catalog, engine, portal, log, folder, opened)
    workspaces = Workspaces(services)
    opened.callback(workspaces.stop)
    is_new = workspaces.restore(alone=kept)
    live = services.registry.all_live()
    missing = require_tables(engine, live.values(), folder / "engine") if kept else []
    for table, count in damaged(engine):
        _LOGGER.error("%d parts of %s are damaged, and were put aside (detached)", count, table)
    recovered = services.ingester.recover()
    health = Health(engine, services.ingester, services.registry, folder, missing)
    kafka_log = KafkaLog(services.service_log, services.registry)
    consumers = Consumers(
        services.ingester, services.registry, services.secrets, kafka_log, catalog.stopped, settings=settings
    )
    opened.callback(consumers.close)
    services.bus.subscribe(DeploymentPromoted, consumers.deployment_promoted)
    opened.callback(workspaces.removals.close)
    maintenance = Maintenance(services, workspaces)
    opened.callback(maintenance.close)
    schedule = CopySchedule(workspaces)
    opened.callback(schedule.close)
    buckets = BucketSchedule(workspaces, services.ingestion_log, settings.bucket_poll_seconds)
    opened.callback(buckets.close)
    metrics = Metrics(_gauges(services, log, consumers))
    maintenance.start()
    schedule.start()
    if kept and not settings.no_kafka:
        consumers.start()
    if kept and not settings.no_buckets:
        buckets.start()
    workspaces.go_on()
    return App(
        folder,
        cipher,
        services,
        log,
        query_log,
        services.uploads,
        workspaces,
        health,
        consumers,
        buckets,
        schedule,
        maintenance,
        metrics,
        is_new,
        recovered,
    )


def _open_engine(folder: Path, settings: Settings, *, in_memory: bool) -> Engine:
    try:
        return EmbeddedEngine(
            None if in_memory else folder / "engine",
            workers=settings.workers + _OWN_WORKERS,
            most_workers=_MOST_WORKERS,
            sources=settings.rules().copy_sources,
            ingests=True,
            results_on_disk=settings.results_max_disk_bytes,
        )
    except EngineError as error:
        message = f"The engine cannot open {folder}: {error.message}"
        raise ClickpipeError(message, status=503, code="engine_unavailable") from error


def _open_services(
    settings: Settings,
    catalog: Catalog,
    engine: Engine,
    portal: BlockingPortal,
    log: WriteAheadLog,
    folder: Path,
    opened: ExitStack,
) -> tuple[Services, QueryLog]:
    """Build what all workspaces share, and connect it by the bus."""
    bus, registry = Bus(), Registry()
    tokens = TokenIndex(catalog, settings)
    opened.callback(tokens.close)
    secrets = SecretValues(catalog.secrets, registry, environment_for_all=settings.environment_secrets == "all")
    standbys = Standbys(engine, catalog, registry)
    service_log = ServiceLog(engine)
    opened.callback(service_log.close)
    ingestion_log = IngestionLog(service_log, registry)
    opened.callback(ingestion_log.close)
    storage_log = StorageLog(engine, service_log, registry)
    opened.callback(storage_log.close)
    query_log = QueryLog(service_log, registry)
    bus.subscribe(JobChanged, query_log.job_changed)
    bus.subscribe(DeploymentPromoted, tokens.deployment_promoted)
    bus.subscribe(RowsReplaced, standbys.rows_replaced)
    ingester = Ingester(
        engine,
        log,
        catalog.positions,
        registry,
        batch_bytes=settings.ingest_batch_bytes,
        queue_bytes=settings.ingest_queue_bytes,
        flush_seconds=settings.ingest_flush_seconds,
        fail_fast=settings.fail_fast_names(),
        recorder=ingestion_log,
        standbys=standbys,
    )
    opened.callback(ingester.close)
    jobs = JobRunner(catalog, bus=bus, workspaces=registry)
    opened.callback(jobs.close)
    memory = settings.queries_max_memory_bytes or available_memory() // 2
    services = Services(
        settings,
        engine,
        catalog,
        bus,
        registry,
        secrets,
        tokens,
        standbys,
        service_log,
        storage_log,
        ingestion_log,
        ingester,
        Turns(),
        jobs,
        ConcurrencyLimiter(engine, settings.workers, settings.query_queue, memory),
        ResultCache(settings.cache_max_bytes),
        Uploads(folder, jobs.unfinished),
        portal,
    )
    return services, query_log


def _gauges(services: Services, log: WriteAheadLog, consumers: Consumers) -> dict[str, tuple[str, Callable[[], float]]]:
    """Return the gauges for metrics: name → description and function."""
    limiter, cache, ingester = services.limiter, services.result_cache, services.ingester
    return {
        "clickpipe_queries_running": ("Queries that run.", lambda: limiter.running),
        "clickpipe_queries_waiting": ("Queries that wait for their turn.", lambda: limiter.waiting),
        "clickpipe_cache_hits": ("Answers from kept results.", lambda: cache.hits),
        "clickpipe_cache_misses": ("Answers that were not kept.", lambda: cache.misses),
        "clickpipe_cache_joined": ("Answers of equal queries under way.", lambda: cache.joined),
        "clickpipe_cache_bytes": ("Bytes of kept results.", lambda: cache.size),
        "clickpipe_ingest_waiting_bytes": ("Bytes of events that wait.", lambda: ingester.waiting_bytes),
        "clickpipe_ingest_retrying": ("Segments whose insert failed.", lambda: len(ingester.failing())),
        **{f"clickpipe_kafka_{name}": (text, partial(consumers.total, name)) for name, text in GAUGES.items()},
        "clickpipe_log_segments": ("Segments of the log.", lambda: len(log.segments())),
    }
