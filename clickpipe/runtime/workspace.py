"""A workspace, as the server, the command line and Python programs use it."""

from __future__ import annotations

import json
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from types import MappingProxyType
from typing import Any

import msgspec

from clickpipe.auth import reconcile
from clickpipe.catalog import Job, Live, Workspace as WorkspaceRecord
from clickpipe.compiler import CompiledProject
from clickpipe.config import Settings, available_memory
from clickpipe.deploy import Deployer, Hooks, Pace
from clickpipe.diagnostics import ClickpipeError, UnknownResource
from clickpipe.engine import EngineError, Extent, QueryResult, split_table, whole
from clickpipe.ingest import Importer, IngestResult, Lines
from clickpipe.jobs import Population, Work
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
from clickpipe.runtime.copying import Copies
from clickpipe.runtime.data_in import DataIn
from clickpipe.runtime.deploying import Deploying
from clickpipe.runtime.populating import may_be_repeated, population, rebuilding, why_not_repeated
from clickpipe.runtime.services import Services
from clickpipe.runtime.staging import StagingData
from clickpipe.runtime.upload import COMPLETE, is_there
from clickpipe.template import Secrets


class Workspace(Deploying, DataIn):
    """One workspace of a running instance. Methods may be called from any thread."""

    def __init__(self, services: Services, record: WorkspaceRecord, above: Secrets) -> None:
        """Restore the live deployment; `above` returns secrets that the workspace itself does not have.

        `parent` is the id of the workspace that a preview was made from, '' for others.
        """
        self._above = above
        self._services = services
        self.id = record.id
        self.name = record.name
        self.parent = record.parent
        self.database = record.database
        self.live: Live | None = None
        self.local_secrets: Mapping[str, str] = {}
        self._tables = threading.Lock()  # held by a copy, or by a deployment while it is applied
        self._deployer = Deployer(
            services.engine,
            services.catalog,
            record,
            Hooks(lambda: self.live, self.paused, self._promote, self._promoted, self.secret, self._written),
            services.settings.rules(on_server=True),
            Pace(
                services.engine,
                threads=services.settings.backfill_threads,
                rows_per_second=services.settings.backfill_rows_per_second,
            ),
        )
        limits = _limits(services.settings)
        prepare = partial(services.prepare_service, record.database)
        shared = (limits, prepare, services.result_cache, services.limiter, self.secret, self.parent or self.id)
        self.queries = QueryService(services.engine, lambda: self.live, *shared)
        self.staging_queries = QueryService(services.engine, self.staging, *shared)
        self.copies = Copies(
            services,
            self.id,
            self.queries.live,
            self._held,
            self.secret,
            self._outdate,
            self.sever_standby,
            self._is_changing,
        )
        self._importer = Importer(
            services.engine,
            self.id,
            self.queries.live,
            self._held,
            lambda: services.ingester.paused(self.id),
            services.ingestion_log,
            self._outdate,
            self.sever_standby,
            {"max_memory_usage": limits.max_memory_bytes},
        )
        self.staging_data = StagingData(
            services, self.id, lambda: self.live, self.staging_queries, self._held, self.paused, self.secret
        )
        begun = [job.result for job in services.jobs.unfinished if job.workspace_id == self.id]
        kept = [str(result[key]) for result in begun for key in ("kept", "appending") if key in result]
        kept += [table for result in begun for key in ("behind", "tables") for table in result.get(key) or ()]
        self.live = self._deployer.restore([split_table(table)[1] for table in kept])

    @contextmanager
    def _held(self) -> Iterator[None]:
        with self._tables:
            yield

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Hold back events and copies: rows written while tables are being replaced would be lost."""
        with self._tables, self._services.ingester.paused(self.id):
            yield

    def _written(self) -> None:
        self._services.ingester.require_written(self.id)

    def _promote(self, compiled: CompiledProject) -> None:
        reconcile(self._services.catalog, self.id, compiled)

    def _promoted(self, live: Live) -> None:
        self.live = live
        self._services.tokens.refresh()

    def secret(self, name: str) -> str | None:
        """Return a secret for `tb_secret`: from the folder in development, the workspace, or the environment.

        A preview falls back to the secrets of the workspace that it was made from.
        """
        if name in self.local_secrets:
            return self.local_secrets[name]
        found = self._services.catalog.secrets.value(self.id, name)
        return self._above(name) if found is None else found

    # Data in

    def submit(self, data_source: str, lines: Lines, *, wait: bool = True) -> Future[IngestResult]:
        """Queue JSON lines for a data source; see `Ingester.submit`."""
        self.data_source_for_events(data_source)
        return self._services.ingester.submit(self.id, data_source, lines, wait=wait)

    def ingest(self, data_source: str, rows: Iterable[Mapping[str, Any]]) -> IngestResult:
        """Write rows, each as a JSON document, and wait until they can be read."""
        return self.submit(data_source, Lines.of(msgspec.json.encode(row) for row in rows)).result()

    # Data out

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
        return self.copies.start(name, values or {}, mode)

    def populate(self, wanted: Population) -> Job:
        """Start a job that populates a materialized view. Raises ClickpipeError 404, 400."""
        work = self._populating(wanted)
        return self._services.jobs.submit(self.id, "populateview", wanted.pipe, work, asdict(wanted))

    def _populating(self, wanted: Population, before: Mapping[str, Any] | None = None) -> Work:
        held, told = self._held, self._outdate
        return population(self._services, self.id, self.queries, held, told, wanted, self.sever_standby, before)

    def rebuild(self, view: str) -> Job:
        """Start a job that rebuilds a view's target. Raises ClickpipeError 404 if there is no such view."""
        if view not in self.queries.live().compiled.views:
            known = [("PIPES", name) for name in self.queries.live().compiled.views]
            raise UnknownResource(f"There is no materialized view '{view}'", view, known, status=404, code="not_found")
        return self._services.jobs.submit(self.id, "rebuild", view, self._rebuilding(view))

    def _rebuilding(self, view: str) -> Work:
        return rebuilding(self._services, self.id, self.queries, self._held, self._outdate, view)

    def retry(self, job: Job) -> Job:
        """Run an ended job again. Raises ClickpipeError: 409 if it has not ended, 400 if it cannot be repeated."""
        if job.status in {"waiting", "working", "cancelling"}:
            message = f"The job has not ended: it is '{job.status}'."
            raise ClickpipeError(message, status=409, code="job_not_ended")
        work = self._work(job)
        if work is None:
            again = {"import": "send the file again", "deployment": "deploy again"}.get(job.kind, "start it anew")
            message = f"This job of the kind '{job.kind}' cannot be run again from here: {again}."
            raise ClickpipeError(message, code="not_retryable")
        return self._services.jobs.submit(self.id, job.kind, job.resource, work, job.parameters)

    def take_up(self, job: Job) -> None:
        """Resume a job that a restart interrupted, if that is safe.

        Jobs that had not begun are run. Of those that had, deletions, rebuilds, quarantine replays and replacing copies
        start over; imports, appending copies and populations continue where they were.
        """
        twice = (
            job.kind in {"delete_data", "quarantine_replay", "import", "rebuild"}
            or may_be_repeated(job)
            or (
                job.kind == "copy"
                and self.live is not None
                and (self.copies.replaces(job.resource, job.parameters.get("mode")) or "appending" in job.result)
            )
        )
        work = self._work(job, resumed=True) if job.status == "waiting" or (twice and job.status == "working") else None
        if work is not None:
            self._services.jobs.resume(job, work)
        elif job.kind == "populateview":
            self._services.catalog.jobs.update(job.id, "error", error=why_not_repeated(job))

    def _work(self, job: Job, *, resumed: bool = False) -> Work | None:
        """Return a job's work, or None if it cannot be repeated: uploads whose file is gone, and jobs for staging."""
        if job.parameters.get("deployment"):
            return None
        if job.kind == "copy":
            values, mode = job.parameters.get("values") or {}, job.parameters.get("mode")
            return self.copies.work(job.resource, values, mode, job.result if resumed else None)
        if job.kind == "delete_data" and "condition" in job.parameters:
            return self._deletion(job.resource, job.parameters["condition"])
        if job.kind == "rebuild":
            return self._rebuilding(job.resource)
        if job.kind == "populateview" and self.live is not None and job.parameters:
            return self._populating(Population(**job.parameters), job.result if resumed else None)
        if job.kind == "import" and resumed and (job.result.get(COMPLETE) or is_there(job.parameters)):
            return self._import(job.parameters, job.result)
        return self._replay(job.resource) if job.kind == "quarantine_replay" else None

    def deployed_at(self) -> str:
        """Return when the live deployment was created; '' before the first."""
        return self._services.catalog.deployed_at(self.id)

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
