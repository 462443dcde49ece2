"""A workspace as the server, the command line and Python programs use it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from clickpipe.auth import reconcile
from clickpipe.catalog import Job, Live, Workspace as WorkspaceRecord
from clickpipe.compiler import CompiledProject
from clickpipe.config import Settings, environment_secret
from clickpipe.deploy import Deployer, Hooks
from clickpipe.diagnostics import ClickpipeError, did_you_mean
from clickpipe.engine import EngineError, QueryResult, whole
from clickpipe.ingest import Importer, IngestResult, Lines, Reason, reasons, replay
from clickpipe.jobs import Report
from clickpipe.query import (
    FORMATS,
    Answer,
    OutputFormat,
    QueryLimits,
    QueryOptions,
    QueryRunner,
    compose_condition,
    failure,
    split_format_clause,
)
from clickpipe.runtime.copying import Copies
from clickpipe.runtime.deploying import Deploying
from clickpipe.runtime.upload import Upload

if TYPE_CHECKING:
    from clickpipe.runtime.instance import Instance

_Result = TypeVar("_Result")


class Workspace(Deploying):
    """One workspace of a running instance. Its methods may be called from any thread."""

    def __init__(self, instance: Instance, record: WorkspaceRecord) -> None:
        """Bring back what was live."""
        self._instance = instance
        self.id = record.id
        self.name = record.name
        self.database = record.database
        self.live: Live | None = None
        self.local_secrets: Mapping[str, str] = {}
        self._tables = threading.Lock()  # held by a copy, and by a deployment while it is applied
        self._deployer = Deployer(
            instance.engine,
            instance.catalog,
            record,
            Hooks(lambda: self.live, self._paused, self._promote, self._promoted, self.secret),
            instance.settings.rules(),
            _backfill(instance.settings),
        )
        limits = _limits(instance.settings)
        prepare = partial(instance.prepare_service, record.database)
        self.queries = QueryRunner(
            instance.engine, lambda: self.live, limits, prepare, instance.answers, instance.gate, self.secret
        )
        self.staging_queries = QueryRunner(
            instance.engine, self.staging, limits, prepare, instance.answers, instance.gate, self.secret
        )
        self.copies = Copies(instance, self.id, self.queries.live, self._held, self.secret, self._outdate, self.relieve)
        self._importer = Importer(
            instance.engine,
            self.id,
            self.queries.live,
            self._held,
            lambda: instance.ingester.paused(self.id),
            instance.ingestion_log,
            self._outdate,
            self.relieve,
        )
        self.live = self._deployer.restore()

    @contextmanager
    def _held(self) -> Iterator[None]:
        with self._tables:
            yield

    @contextmanager
    def _paused(self) -> Iterator[None]:
        """Hold events and copies: what they write while tables are replaced would be lost."""
        with self._tables, self._instance.ingester.paused(self.id):
            yield

    def _promote(self, compiled: CompiledProject) -> None:
        reconcile(self._instance.catalog, self.id, compiled)

    def _promoted(self, live: Live) -> None:
        self.live = live
        self._instance.tokens.refresh()

    def secret(self, name: str) -> str | None:
        """Return what `tb_secret` gives: of the folder in development, of the workspace, of the environment."""
        if name in self.local_secrets:
            return self.local_secrets[name]
        found = self._instance.catalog.secrets.value(self.id, name)
        return environment_secret(name) if found is None else found

    # Data in

    def data_source_for_events(self, name: str) -> None:
        """Raise 404 unless events can be sent to the data source."""
        live = self.queries.live()
        source = live.compiled.data_sources.get(name)
        if source is not None and source.ingestible:
            return
        if source is not None:
            message = f"The data source '{name}' holds aggregate states: a materialized view fills it, events cannot."
            raise ClickpipeError(message, code="not_ingestible")
        hint = did_you_mean(name, live.ingestible())
        message = f'Data Source "{name}" does not exist' + (f": {hint}" if hint else "")
        raise ClickpipeError(message, status=404, code="not_found")

    def submit(self, data_source: str, lines: Lines, *, wait: bool = True) -> Future[IngestResult]:
        """Queue JSON lines for a data source; see `Ingester.submit`."""
        self.data_source_for_events(data_source)
        return self._instance.ingester.submit(self.id, data_source, lines, wait=wait)

    def ingest(self, data_source: str, rows: Iterable[Mapping[str, Any]]) -> IngestResult:
        """Write rows (mappings as JSON documents) and wait until they can be read."""
        return self.submit(data_source, Lines.of(msgspec.json.encode(row) for row in rows)).result()

    def import_file(self, upload: Upload, *, mode: str = "append", condition: str = "") -> Job:
        """Start a job that appends a file's rows, or replaces all rows by them, or those that meet `condition`.

        The file is removed at the end. Raises ClickpipeError 404 for an unknown data source, 400 for a bad condition.
        """
        self.data_source_for_events(upload.data_source)
        where = compose_condition(self._instance.engine, self.queries.live(), condition) if condition else ""

        def work(report: Report) -> Mapping[str, Any]:
            source = self.queries.live().compiled.data_sources[upload.data_source]
            named = upload.format == "csv"
            with upload.read(source, self._instance.settings, report) as parts:
                name, importer = upload.data_source, self._importer
                if mode == "replace":
                    done = importer.replace(name, parts, named=named, report=report, condition=where)
                else:
                    done = importer.append(name, parts, named=named, report=report)
                return done.as_dict()

        return self._instance.jobs.submit(self.id, "import", upload.data_source, work)

    def append(self, data_source: str, parts: Iterable[Lines], *, named: bool = False) -> IngestResult:
        """Append rows and wait until they can be read; `named` are objects by the columns' names, not by jsonpaths.

        Raises ClickpipeError.
        """
        self.data_source_for_events(data_source)
        try:
            done = self._importer.append(data_source, parts, named=named, report=lambda _: None)
        except EngineError as error:
            raise failure(error) from error
        return IngestResult(done.rows, done.quarantined)

    def delete_rows(self, data_source: str, condition: str, *, dry_run: bool = False) -> int:
        """Delete the rows that meet a condition; return how many they are. Raises ClickpipeError 400 and 404."""
        live = self.queries.live()
        self._require(data_source)
        where = compose_condition(self._instance.engine, live, condition)
        try:
            return self._importer.delete(data_source, where, dry_run=dry_run)
        except EngineError as error:
            raise failure(error) from error

    def delete_job(self, data_source: str, condition: str) -> Job:
        """Start a job that deletes rows. Raises ClickpipeError 400 and 404."""
        self._require(data_source)
        compose_condition(self._instance.engine, self.queries.live(), condition)
        return self._instance.jobs.submit(
            self.id,
            "delete_data",
            data_source,
            lambda _: {"rows_affected": self.delete_rows(data_source, condition), "delete_condition": condition},
            {"condition": condition},
        )

    def truncate(self, data_source: str) -> None:
        """Remove all rows of a data source, or of a quarantine (`<name>_quarantine`). Raises ClickpipeError 404."""
        self._require(data_source)
        self._importer.truncate(data_source)

    def quarantine_reasons(self, data_source: str, limit: int = 100) -> list[Reason]:
        """Return why rows of a data source are in quarantine. Raises ClickpipeError 404."""
        self._require(f"{data_source}_quarantine")
        return reasons(self._instance.engine, self.queries.live(), data_source, limit)

    def replay_quarantine(self, data_source: str) -> Job:
        """Start a job that moves the rows of a quarantine that fit now. Raises ClickpipeError 404, 400."""
        self.data_source_for_events(data_source)

        def work(_: Report) -> Mapping[str, Any]:
            with self._paused():
                live = self.queries.live()
                source = live.compiled.data_sources[data_source]
                done = replay(self._instance.engine, live, source, self.id, self.relieve)
                if done["rows"]:
                    self._outdate(f"{data_source}_quarantine")
                return done

        return self._instance.jobs.submit(self.id, "quarantine_replay", data_source, work)

    def _require(self, table: str) -> None:
        live = self.queries.live()
        if live.table(table) is None:
            hint = did_you_mean(table, live.physical.tables)
            message = f'Data Source "{table}" does not exist' + (f": {hint}" if hint else "")
            raise ClickpipeError(message, status=404, code="not_found")

    # Data out

    def endpoint(self, name: str, values: Mapping[str, Any], output: OutputFormat) -> QueryResult:
        """Call an endpoint and wait for the bytes. Raises ClickpipeError."""
        started = self.queries.endpoint(name, QueryOptions(output, values))
        return whole((started if isinstance(started, Answer) else _wait(started)).result)

    def query(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        """Call an endpoint and return its rows."""
        rows: list[dict[str, Any]] = json.loads(self.endpoint(name, parameters, FORMATS["json"]).body)["data"]
        return rows

    def sql(self, text: str) -> list[dict[str, Any]]:
        """Run a SELECT over data sources and pipes and return its rows."""
        sql, _ = split_format_clause(text)
        rows: list[dict[str, Any]] = json.loads(self.select(sql, "json"))["data"]
        return rows

    def select(self, sql: str, output: str) -> bytes:
        """Run a SELECT over data sources and pipes and return its bytes in an output format. Raises ClickpipeError."""
        started = self.queries.sql(sql, QueryOptions(FORMATS[output]), lambda _kind, _name: None)
        return whole(_wait(started).result).body

    def copy(self, name: str, values: Mapping[str, Any] | None = None, mode: str | None = None) -> Job:
        """Start a copy pipe as a job. Raises ClickpipeError 404 when there is none of that name."""
        return self.copies.start(name, values or {}, mode)

    def retry(self, job: Job) -> Job:
        """Start a job anew that has ended. Raises ClickpipeError 409 for one that has not, 400 for what cannot be."""
        if job.status in {"waiting", "working", "cancelling"}:
            message = f"The job has not ended: it is '{job.status}'."
            raise ClickpipeError(message, status=409, code="job_not_ended")
        if job.kind == "copy":
            return self.copy(job.resource, job.parameters.get("values"), job.parameters.get("mode"))
        if job.kind == "delete_data" and "condition" in job.parameters:
            return self.delete_job(job.resource, job.parameters["condition"])
        if job.kind == "quarantine_replay":
            return self.replay_quarantine(job.resource)
        again = {"import": "send the file again", "deployment": "deploy again"}.get(job.kind, "start it anew")
        message = f"A job of the kind '{job.kind}' cannot be run again from here: {again}."
        raise ClickpipeError(message, code="not_retryable")

    def deployed_at(self) -> str:
        """Return when the live deployment was made; '' before the first."""
        found = self._instance.catalog.live_deployment(self.id)
        return found.created_at if found else ""

    def row_counts(self) -> dict[str, tuple[int, int]]:
        """Return rows and bytes on disk of each data source and quarantine table."""
        live = self.queries.live()
        sql = (
            "SELECT table, sum(rows), sum(bytes_on_disk) FROM system.parts "
            "WHERE active AND database = {database:String} GROUP BY table"
        )
        body = self._instance.engine.execute(sql, {"database": self.database}, output="JSONCompact").body
        found = {table: (int(rows), int(size)) for table, rows, size in json.loads(body)["data"]}
        names = {name: table.split(".")[1].strip("`") for name, table in live.physical.tables.items()}
        return {name: found.get(table, (0, 0)) for name, table in names.items()}


def _limits(settings: Settings) -> QueryLimits:
    return QueryLimits(
        settings.query_max_seconds,
        settings.query_threads,
        settings.query_max_memory_bytes,
        settings.query_max_rows_to_read,
        settings.query_max_result_rows,
        settings.query_max_result_bytes,
    )


def _backfill(settings: Settings) -> dict[str, int]:
    """Return how much a deployment may take of the machine while it copies rows."""
    found = {"max_threads": settings.backfill_threads} if settings.backfill_threads else {}
    if rows := settings.backfill_rows_per_second:
        found |= {"max_execution_speed": rows, "timeout_before_checking_execution_speed": 0}
    return found


def _wait(future: Future[_Result]) -> _Result:
    try:
        return future.result()
    except EngineError as error:
        raise failure(error) from error
