"""A running clickpipe: one data folder with its engine, catalog, log and workspaces."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from anyio.from_thread import start_blocking_portal

from clickpipe.auth import Logins, RateLimit, TokenIndex, ensure_admin_token
from clickpipe.catalog import Catalog, Job, Live, Token, without_physical_names
from clickpipe.config import Settings, available_memory
from clickpipe.connect import GAUGES, Consumers, Deployed
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import EmbeddedEngine, Engine, EngineError, lost_tables
from clickpipe.ingest import Ingester, WriteAheadLog
from clickpipe.jobs import CopySchedule, JobRunner
from clickpipe.observe import IngestionLog, KafkaLog, Metrics, QueryLog, ServiceLog, StorageLog
from clickpipe.query import ConcurrencyLimiter, HeldResults, ResultCache
from clickpipe.runtime.missing import require_tables, told
from clickpipe.runtime.own_folder import own_cipher
from clickpipe.runtime.partitions import Partitions, crowded as crowded_tables
from clickpipe.runtime.retention import Retention
from clickpipe.runtime.workspace import Workspace
from clickpipe.runtime.workspaces import Workspaces

_LOGGER = logging.getLogger(__name__)
_OWN_WORKERS = 4  # engine threads for ingestion, jobs and checks, besides those for callers' queries
_MOST_WORKERS = 64  # high, as statements are limited per workspace where they start: none should wait for another's


class Instance:
    """Everything in one process. Open it with a folder, or with None to leave nothing behind."""

    def __init__(self, data_dir: Path | None, settings: Settings | None = None) -> None:
        """Open the folder, restore the live deployments, and insert what the write-ahead log still holds.

        `is_new` says afterwards whether this was the folder's first start.

        Raises ClickpipeError if another process has the folder open or the engine cannot open it.
        """
        self.settings = settings or Settings()
        with ExitStack() as opened:  # closed in reverse order, even if the start fails
            self._open(data_dir, opened)
            self._opened = opened.pop_all()

    def _open(self, data_dir: Path | None, opened: ExitStack) -> None:
        if data_dir is None:
            self.data_dir = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="clickpipe-")))
        else:
            self.data_dir = data_dir
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # the folder belongs to another user, but is writable
            self.data_dir.chmod(0o700)
        opened.callback(os.close, _lock(self.data_dir))
        self.cipher = own_cipher(self.data_dir, self.settings) if data_dir is not None else None
        self.catalog = Catalog(self.data_dir / "catalog.sqlite", self.cipher)
        opened.callback(self.catalog.close)
        self.engine: Engine = self._open_engine(in_memory=data_dir is None)
        opened.callback(self.engine.close)
        self.portal = opened.enter_context(start_blocking_portal())  # for Python programs; a server has its own loop
        self.tokens = TokenIndex(self.catalog, self.settings)
        opened.callback(self.tokens.close)
        self.workspaces = Workspaces(self)
        self.service_log = ServiceLog(self.engine)
        opened.callback(self.service_log.close)
        self.ingestion_log = IngestionLog(self.service_log, self.workspaces.database)
        opened.callback(self.ingestion_log.close)
        self.log = WriteAheadLog(self.data_dir / "wal")
        self.ingester = Ingester(
            self.engine,
            self.log,
            self.catalog.positions,
            self.workspaces.live,
            batch_bytes=self.settings.ingest_batch_bytes,
            queue_bytes=self.settings.ingest_queue_bytes,
            flush_seconds=self.settings.ingest_flush_seconds,
            fail_fast=self.settings.fail_fast_names(),
            recorder=self.ingestion_log,
            sever=self._sever,
            owner=self.workspaces.owner,
        )
        opened.callback(self.ingester.close)
        self._limit_requests()
        self.query_log = QueryLog(self.service_log, self.workspaces.database)
        self.jobs = JobRunner(self.catalog, told=self.query_log.job, owner=self.workspaces.owner)
        opened.callback(self.jobs.close)
        opened.callback(self._stop_deployments)
        self._uploads = self.data_dir / "uploads"
        self._uploads.mkdir(exist_ok=True)
        self._remove_uploads()
        memory = self.settings.queries_max_memory_bytes or available_memory() // 2
        self.limiter = ConcurrencyLimiter(self.engine, self.settings.workers, self.settings.query_queue, memory)
        self.result_cache = ResultCache(self.settings.cache_max_bytes)
        self.logins = Logins()
        self.held = HeldResults(self.settings.range_max_bytes, self.settings.range_seconds)
        self.metrics = Metrics(self._gauges())
        self.storage_log = StorageLog(self.engine, self.service_log, self._all_live, self.workspaces.database)
        opened.callback(self.storage_log.close)
        self.is_new = self.workspaces.restore(alone=data_dir is not None)
        self._missing = (
            require_tables(self.engine, self._all_live().values(), self.data_dir / "engine") if data_dir else []
        )
        for table, count in self._damaged():
            _LOGGER.error("%d parts of %s are damaged, and were put aside (detached)", count, table)
        self.recovered_segments = self.ingester.recover()
        self._start_work(opened, kept=data_dir is not None)

    def _start_work(self, opened: ExitStack, *, kept: bool) -> None:
        """Start what runs by itself; topics are read where what was read of them is `kept`."""
        self.consumers = Consumers(self.ingester, self._reading, KafkaLog(self.service_log, self.workspaces.database))
        opened.callback(self.consumers.close)
        self._retention = Retention(self.catalog, self.settings)
        self._partitions = Partitions()
        opened.callback(self.workspaces.removals.close)
        self.schedule = CopySchedule(self._start_due, self._scheduled, also=self._expire)
        opened.callback(self.schedule.close)
        self.schedule.start()
        if kept and not self.settings.no_kafka:
            self.consumers.start()
        for workspace in self.workspaces:
            workspace.go_on()
        for job in self.jobs.unfinished:
            if (found := self.workspaces.get(job.workspace_id)) is not None:
                found.take_up(job)

    def _limit_requests(self) -> None:
        self.event_requests = RateLimit("requests for one data source", self.settings.ingest_requests_per_second)
        self.event_bytes = RateLimit("bytes for one data source", self.settings.ingest_bytes_per_second)
        self.token_requests = RateLimit("requests with one token", self.settings.token_requests_per_second)
        self.address_requests = RateLimit("requests from one address", self.settings.address_requests_per_second)
        self.endpoint_requests = RateLimit("requests of one endpoint", self.settings.endpoint_requests_per_second)

    def _open_engine(self, *, in_memory: bool) -> Engine:
        path = None if in_memory else self.data_dir / "engine"
        try:
            return EmbeddedEngine(
                path,
                workers=self.settings.workers + _OWN_WORKERS,
                most_workers=_MOST_WORKERS,
                sources=self.settings.rules().copy_sources,
                ingests=True,
            )
        except EngineError as error:
            message = f"The engine cannot open {self.data_dir}: {error.message}"
            raise ClickpipeError(message, status=503, code="engine_unavailable") from error

    def prepare_service(self, database: str) -> None:
        """Bring a workspace's service data sources up to date for a query. Raises EngineError."""
        self.service_log.prepare(database)
        self.storage_log.write()
        self.service_log.flush()

    def _gauges(self) -> dict[str, tuple[str, Callable[[], float]]]:
        """Return the gauges for metrics: name → description and function."""
        return {
            "clickpipe_queries_running": ("Queries that run.", lambda: self.limiter.running),
            "clickpipe_queries_waiting": ("Queries that wait for their turn.", lambda: self.limiter.waiting),
            "clickpipe_cache_hits": ("Answers from kept results.", lambda: self.result_cache.hits),
            "clickpipe_cache_misses": ("Answers that were not kept.", lambda: self.result_cache.misses),
            "clickpipe_cache_joined": ("Answers of equal queries under way.", lambda: self.result_cache.joined),
            "clickpipe_cache_bytes": ("Bytes of kept results.", lambda: self.result_cache.size),
            "clickpipe_ingest_waiting_bytes": ("Bytes of events that wait.", lambda: self.ingester.waiting_bytes),
            "clickpipe_ingest_retrying": ("Segments whose insert failed.", lambda: len(self.ingester.failing())),
            **{f"clickpipe_kafka_{name}": (text, self._total(name)) for name, text in GAUGES.items()},
            "clickpipe_log_segments": ("Segments of the log.", lambda: len(self.log.unfinished())),
        }

    def not_ready(self) -> str:
        """Return why the server is not ready for requests, or ''."""
        try:
            self.engine.execute("SELECT 1", output="Null")
        except (EngineError, RuntimeError) as error:
            return f"the engine does not answer: {without_physical_names(str(error))}"
        if not os.access(self.data_dir, os.W_OK):
            return "the data folder cannot be written to"
        return ""

    def _remove_uploads(self) -> None:
        """Remove files of interrupted imports, except those that will be resumed."""
        kept = {Path(job.parameters.get("upload", {}).get("path", "")) for job in self.jobs.unfinished}
        for path in (path for path in self._uploads.iterdir() if path.with_suffix("") not in kept):
            path.unlink(missing_ok=True)

    def problems(self) -> list[str]:
        """Return problems to look at although requests are answered. They name nothing, as anybody may ask."""
        found = []
        if failing := len({name for name, _ in self.ingester.failing()}):
            found.append(f"acknowledged events of {failing} data sources cannot be inserted yet: see the log")
        if crowded := crowded_tables(self.engine, self._all_live()):
            most = max(count for _, count, _, _ in crowded)
            found.append(f"{len(crowded)} data sources have very many partitions, up to {most}: see the log")
        return found + told(self._missing, lost_tables(self.data_dir / "engine"), self._damaged())

    def _damaged(self) -> list[tuple[str, int]]:
        """Return the tables with damaged parts, and how many parts that is."""
        try:
            return list(self.engine.storage.damaged("ws_").items())
        except (EngineError, RuntimeError):
            return []

    def upload_path(self, name: str) -> Path:
        """Return the path where an uploaded file is kept until its rows are inserted."""
        return self._uploads / name

    def _sever(self, workspace_id: str, error: EngineError) -> bool:
        return (found := self.workspaces.get(workspace_id)) is not None and found.sever_standby(error)

    def _start_due(self, workspace_id: str, copy: str) -> Job | None:
        return self.workspace(workspace_id).copies.start_due(copy)

    def _expire(self) -> None:
        self.ingestion_log.tell_past()
        self.workspaces.expire(self.workspaces.removals.start)
        for workspace in self.workspaces:
            workspace.expire_previous()
        self._partitions.look(self.engine, self._all_live())
        self._retention.apply(self.engine, [w.live for w in self.workspaces if w.live is not None])

    def _all_live(self) -> dict[str, Live]:
        return {w.id: w.live for w in self.workspaces if w.live is not None}

    def _scheduled(self) -> dict[str, Live]:
        """Return the live deployments that have schedules: not previews, which copy only on demand."""
        return {w.id: w.live for w in self.workspaces if w.live is not None and not w.parent}

    def _total(self, name: str) -> Callable[[], float]:
        return lambda: self.consumers.total(name)

    def _reading(self) -> Iterator[Deployed]:
        """Yield what reads topics: previews stand still."""
        for workspace in self.workspaces:
            if workspace.live is not None and not workspace.parent:
                yield workspace.id, workspace.live, workspace.secret

    @property
    def default(self) -> Workspace:
        """Return the workspace that the first start created."""
        return self.workspaces.default

    def workspace(self, workspace_id: str) -> Workspace:
        """Return a workspace by id. Raises KeyError."""
        return self.workspaces.find(workspace_id)

    def admin_token(self) -> Token:
        """Return the default workspace's admin token; the settings may set its value."""
        token = ensure_admin_token(self.catalog, self.default.id, self.settings.admin_token or None)
        self.tokens.refresh()
        return token

    def stop(self) -> None:
        """Ask deployments and jobs to end soon, as requests may wait for them. `close` waits for them."""
        self._stop_deployments()
        self.jobs.stop()

    def close(self) -> None:
        """Write what is buffered, finish what runs, and release the folder."""
        self._opened.close()

    def _stop_deployments(self) -> None:
        for workspace in self.workspaces:
            workspace.stop()

    def __enter__(self) -> Self:
        """Return the instance."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def _lock(folder: Path) -> int:
    """Lock the folder for this process. Raises ClickpipeError, naming the process that holds it."""
    path = folder / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        message = (
            f"The data folder {folder} is in use by another clickpipe (process {holder}). "
            "Stop it first, or choose another folder with --data-dir."
        )
        raise ClickpipeError(message, status=503, code="folder_in_use") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor
