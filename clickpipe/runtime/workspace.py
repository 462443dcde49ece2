"""A workspace, as the server, the command line and Python programs use it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import msgspec

from clickpipe.catalog import Job, Live, Workspace as WorkspaceRecord
from clickpipe.config import Settings, available_memory
from clickpipe.deploy import Plan, Progress
from clickpipe.diagnostics import UnknownResource
from clickpipe.engine import EngineError, Extent, QueryResult, memory_limit, split_table, whole
from clickpipe.ingest import FileRows, IngestResult, Lines, TableLock
from clickpipe.query import (
    FORMATS,
    Answer,
    OutputFormat,
    QueryLimits,
    QueryOptions,
    QueryService,
    failure,
    format_named,
    split_format_clause,
)
from clickpipe.runtime.connection_checks import ConnectionChecks
from clickpipe.runtime.data_in import LiveData
from clickpipe.runtime.deploying import Deployments
from clickpipe.runtime.services import Services
from clickpipe.runtime.sinking import Sinks
from clickpipe.runtime.staging import StagingData
from clickpipe.runtime.tables import LiveTables, StagingTables
from clickpipe.runtime.working import WorkspaceJobs


class Workspace:
    """One workspace of a running instance, with its parts. Methods may be called from any thread.

    `deployments` plans and carries out deployments, `data` writes to the live one and `staging_data` to the one in
    staging, `queries` and `staging_queries` read them, `copies`, `sinks`, `connection_checks` and `jobs` start jobs.
    """

    def __init__(self, services: Services, record: WorkspaceRecord) -> None:
        """Restore the live deployment."""
        self._services = services
        self._record = record
        entry = services.registry.add(record)
        lock = TableLock(services.ingester, record.id)
        limits = _limits(services.settings)
        prepare, secret = partial(services.prepare_service, record.database), partial(services.secrets.value, record.id)
        shared = (limits, prepare, services.result_cache, services.limiter, secret, record.parent or record.id)
        self.lock = lock
        self.deployments = Deployments(services, entry, lock)
        queries = QueryService(services.engine, self.deployments.live, *shared)
        tables = LiveTables(entry, lock, queries, services.standbys, services.bus)
        bounds = memory_limit(limits.max_memory_bytes)
        self.data = LiveData(services, tables, queries, bounds)
        self.copies = self.data.copies
        self.sinks = Sinks(services, tables)
        self.connection_checks = ConnectionChecks(services, tables, self.data.buckets)
        self.jobs = WorkspaceJobs(services, tables, self.data, self.copies, self.sinks)
        queries = QueryService(services.engine, self.deployments.staging, *shared)
        staging = StagingTables(entry, lock, queries, services.standbys, services.bus)
        self.staging_data = StagingData(services, staging, queries)
        self.deployments.restore([split_table(table)[1] for table in self.jobs.kept()])

    @property
    def id(self) -> str:
        """Return its id, which never changes."""
        return self._record.id

    @property
    def name(self) -> str:
        """Return its name."""
        return self._record.name

    @property
    def parent(self) -> str:
        """Return the id of the workspace that a preview was made from, '' for others."""
        return self._record.parent

    @property
    def database(self) -> str:
        """Return the ClickHouse database that holds its tables."""
        return self._record.database

    @property
    def live(self) -> Live | None:
        """Return the live deployment; None before the first."""
        return self.deployments.live()

    @property
    def queries(self) -> QueryService:
        """Return what reads the live deployment."""
        return self.data.queries

    @property
    def staging_queries(self) -> QueryService:
        """Return what reads the deployment in staging."""
        return self.staging_data.queries

    @property
    def local_secrets(self) -> Mapping[str, str]:
        """Return the secrets of the folder that it is developed in: they come before all others."""
        return self._services.secrets.local(self.id)

    @local_secrets.setter
    def local_secrets(self, values: Mapping[str, str]) -> None:
        self._services.secrets.set_local(self.id, values)

    def secret(self, name: str) -> str | None:
        """Return a secret for `tb_secret`, or None: see `SecretValues.value`."""
        return self._services.secrets.value(self.id, name)

    def deploy(
        self, files: Mapping[str, str], *, allow_destructive: bool = False, progress: Progress = lambda _: None
    ) -> Plan:
        """Deploy a project's files and promote them; see `Deployments.deploy`."""
        return self.deployments.deploy(files, allow_destructive=allow_destructive, progress=progress)

    def ingest(self, data_source: str, rows: Iterable[Mapping[str, Any]]) -> IngestResult:
        """Write rows, each as a JSON document, and wait until they can be read."""
        return self.data.submit(data_source, Lines.of(msgspec.json.encode(row) for row in rows)).result()

    def append(self, data_source: str, rows: FileRows | Iterable[Lines]) -> IngestResult:
        """Append rows of a file and wait until they can be read. Raises ClickpipeError."""
        return self.data.append(data_source, rows)

    def endpoint(self, name: str, values: Mapping[str, Any], output: OutputFormat) -> QueryResult:
        """Call an endpoint and wait for its result. Raises ClickpipeError."""
        return self._answer(partial(self.queries.endpoint, name, QueryOptions(output, values)))

    def query(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        """Call an endpoint and return its rows."""
        rows: list[dict[str, Any]] = json.loads(self.endpoint(name, parameters, FORMATS["json"]).body)["data"]
        return rows

    def sql(self, text: str) -> list[dict[str, Any]]:
        """Run a SELECT over data sources and pipes and return its rows."""
        sql, _ = split_format_clause(text)
        rows: list[dict[str, Any]] = json.loads(self.select(sql, "json"))["data"]
        return rows

    def select(self, sql: str, output: str, values: Mapping[str, Any] = MappingProxyType({})) -> bytes:
        """Run a SELECT over data sources and pipes and return its bytes in an output format.

        `output` is a file extension of endpoints or a ClickHouse format; `values` are parameters of the pipes.
        Raises ClickpipeError.
        """
        options = QueryOptions(FORMATS.get(output) or format_named(output), values)
        return self._answer(partial(self.queries.sql, sql, options, lambda _kind, _name: None)).body

    def _answer(self, query: Callable[[], Awaitable[Answer]]) -> QueryResult:
        """Run a query from a thread without an event loop; return its whole result. Raises ClickpipeError."""
        try:
            return whole(self._services.portal.call(query).result)
        except UnknownResource as error:
            raise error.suggesting(_everything) from None
        except EngineError as error:  # in the middle of a streamed result
            raise failure(error) from error

    def copy(self, name: str, values: Mapping[str, Any] | None = None, mode: str | None = None) -> Job:
        """Start a copy pipe as a job. Raises ClickpipeError 404 if there is no such copy pipe."""
        return self.data.copy(name, values, mode)

    def start_due(self, name: str) -> Job | None:
        """Start a copy or a sink that is due; return None if it should not run now. Raises ClickpipeError."""
        return (self.sinks if name in self.queries.live().compiled.sinks else self.copies).start_due(name)

    def row_counts(self) -> dict[str, tuple[int, int]]:
        """Return (rows, bytes on disk) of each data source and quarantine, by name."""
        live = self.queries.live()
        found = self._services.engine.storage.extents(self.database)
        held = {name: found.get(split_table(table)[1], Extent()) for name, table in live.physical.tables.items()}
        return {name: (extent.rows, extent.size) for name, extent in held.items()}


def _limits(settings: Settings) -> QueryLimits:
    return QueryLimits(
        settings.query_max_seconds,
        settings.query_threads,
        settings.query_max_memory_bytes or available_memory() // 3,
        settings.query_max_rows_to_read,
        settings.query_max_result_rows,
        settings.query_max_result_bytes,
    )


def _everything(_kind: str, _name: str) -> bool:
    return True  # Python callers may see everything
