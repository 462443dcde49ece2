"""Changes the rows of a deployment's data sources: imports, deletions, quarantines."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from clickpipe.catalog import Job
from clickpipe.concurrency import in_thread
from clickpipe.diagnostics import ClickpipeError, UnknownResource
from clickpipe.engine import EngineError, Settings
from clickpipe.ingest import (
    Deleter,
    DeletionUnfinished,
    FileRows,
    Importer,
    IngestResult,
    Lines,
    Reason,
    Replacing,
    reasons,
    replay,
)
from clickpipe.jobs import JobCancelled, JobStopped, Report, Work
from clickpipe.query import QueryService, compose_condition, failure
from clickpipe.runtime.bucket_imports import BucketImports
from clickpipe.runtime.copying import Copies
from clickpipe.runtime.services import Services
from clickpipe.runtime.tables import LiveTables
from clickpipe.runtime.upload import COMPLETE, Upload


class DataIn:
    """Writes to the data sources of one deployment, and reads it. May be called from any thread."""

    def __init__(
        self,
        services: Services,
        tables: LiveTables,
        queries: QueryService,
        bounds: Settings = MappingProxyType({}),
        parameters: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Write to `tables`, which `queries` reads.

        `bounds` are the limits for evaluating a caller's condition; `parameters` are stored with the jobs.
        """
        self.id = tables.workspace
        self.queries = queries
        self._services = services
        self._tables = tables
        self._parameters = parameters
        self.copies = Copies(services, tables, parameters)
        self._importer = Importer(services.engine, tables, services.ingestion_log, bounds)
        seconds = services.settings.delete_max_seconds
        self._deleter = Deleter(services.engine, tables, services.ingestion_log, bounds, seconds=seconds)

    def data_source_for_events(self, name: str) -> None:
        """Raise ClickpipeError unless the data source accepts events: 404 if it is unknown."""
        live = self._tables.live()
        if live.takes_events(name):
            self._tables.require_writable(name)
            return
        if name in live.compiled.data_sources:
            message = f"The data source '{name}' holds aggregate states: a materialized view fills it, events cannot."
            raise ClickpipeError(message, code="not_ingestible")
        raise _unknown(name, live.ingestible())

    def copy(self, name: str, values: Mapping[str, Any] | None = None, mode: str | None = None) -> Job:
        """Start a copy pipe as a job. Raises ClickpipeError: 404 if unknown, 409 if its target may not be written."""
        found = self._tables.live().compiled.copies.get(name)
        if found is not None:
            self._tables.require_writable(found.target)
        return self.copies.start(name, values or {}, mode)

    def import_file(self, upload: Upload, *, mode: str = "append") -> Job:
        """Start a job that appends a file's rows, or replaces the rows that `upload.replacing` selects.

        The file is removed at the end. Raises ClickpipeError: 404 for an unknown data source, 400 for a bad condition.
        """
        self.data_source_for_events(upload.data_source)
        if upload.replacing.condition:
            compose_condition(self._services.engine, self._tables.live(), upload.replacing.condition)
        upload.sync()
        parameters = {"upload": upload.as_dict(), "mode": mode, **self._parameters}
        work = self.importing(parameters)
        return self._services.jobs.submit(self.id, "import", upload.data_source, work, parameters)

    def importing(self, parameters: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> Work:
        """Return the work of an import job; `before` is what it had reported before a restart."""
        upload = Upload.of(parameters["upload"])
        name, how = upload.data_source, upload.replacing

        def work(report: Report) -> Mapping[str, Any]:
            live, importer = self._tables.live(), self._importer
            where = compose_condition(self._services.engine, live, how.condition) if how.condition else ""
            with upload.read(live.compiled.data_sources[name], self._services.settings, report) as rows:
                if parameters["mode"] == "replace":
                    done = self._replace(name, rows, replace(how, condition=where), report, before)
                else:
                    done = importer.append(name, rows, report=report, before=before).as_dict()
                report.tell({**done, COMPLETE: True})  # before the file goes: a job without one cannot be resumed
            return done

        def finish(_: Report) -> Mapping[str, Any]:
            upload.remove()
            return {key: value for key, value in (before or {}).items() if key != COMPLETE}

        return finish if before and before.get(COMPLETE) else work

    def _replace(
        self, name: str, rows: FileRows, how: Replacing, report: Report, before: Mapping[str, Any] | None
    ) -> Mapping[str, Any]:
        engine, tag = self._services.engine, uuid.uuid4().hex
        try:
            with report.stoppable(lambda: engine.cancel(tag)):
                done = self._importer.replace(name, rows, how, report=report, before=before, tag=tag)
        except EngineError as error:
            if report.stopped:  # repeated after the next start
                raise JobStopped from error
            if report.cancelled:
                raise JobCancelled from error
            raise
        return {**done.as_dict(), **self._left_behind(name)}

    def append(self, data_source: str, rows: FileRows | Iterable[Lines]) -> IngestResult:
        """Append rows and wait until they can be read.

        Raises ClickpipeError.
        """
        self.data_source_for_events(data_source)
        rows = rows if isinstance(rows, FileRows) else FileRows(rows)
        try:
            done = self._importer.append(data_source, rows, report=lambda _: None)
        except EngineError as error:
            raise failure(error) from error
        return IngestResult(done.rows, done.quarantined)

    async def count_rows(self, data_source: str, condition: str) -> int:
        """Count the rows that a deletion would delete, as a normal query. Raises ClickpipeError 400, 404, 429."""
        return await self.queries.count(*await in_thread(self._counted, data_source, condition))

    def _counted(self, data_source: str, condition: str) -> tuple[str, str]:
        """Return the table and the composed condition of a count."""
        self._require(data_source)
        where = compose_condition(self._services.engine, self._tables.live(), condition)
        return self._deleter.settled(data_source), where

    def delete_rows(self, data_source: str, condition: str) -> int:
        """Delete the rows that match a condition; return how many there were. Raises ClickpipeError 400 and 404."""
        live = self._tables.live()
        self._require(data_source)
        where = compose_condition(self._services.engine, live, condition)
        try:
            with self._turn(Report()):
                return self._deleter.delete(data_source, where)
        except EngineError as error:
            raise failure(error) from error

    def _turn(self, report: Report) -> AbstractContextManager[None]:
        """Wait until no other deletion of this workspace, or of its previews, runs."""
        return self._services.deletion_turns.turn(self._services.registry.owner(self.id), report.check)

    def delete_job(self, data_source: str, condition: str) -> Job:
        """Start a job that deletes rows. Raises ClickpipeError 400 and 404."""
        self._require(data_source)
        compose_condition(self._services.engine, self._tables.live(), condition)
        parameters = {"condition": condition, **self._parameters}
        return self._services.jobs.submit(
            self.id, "delete_data", data_source, self.deletion(data_source, condition), parameters
        )

    def deletion(self, data_source: str, condition: str) -> Work:
        """Return the work of a job that deletes rows."""

        def work(report: Report) -> Mapping[str, Any]:
            engine, tag = self._services.engine, uuid.uuid4().hex
            try:
                with self._turn(report), report.stoppable(lambda: engine.cancel(tag)):
                    where = compose_condition(engine, self._tables.live(), condition)
                    rows = self._deleter.delete(data_source, where, tag=tag, check=report.check)
            except (EngineError, DeletionUnfinished) as error:
                if report.stopped and not report.cancelled:  # repeated after the next start
                    raise JobStopped from error
                if report.cancelled:
                    half_done = error.args if isinstance(error, DeletionUnfinished) else ()
                    raise JobCancelled(*half_done) from error
                if isinstance(error, EngineError):
                    raise failure(error) from error
                raise
            return {"rows_affected": rows, "delete_condition": condition, **self._left_behind(data_source)}

        return work

    def _left_behind(self, data_source: str) -> dict[str, list[str]]:
        """Return the views that still hold rows made from a data source's old rows, in the order to rebuild them."""
        views = sorted(self._tables.live().compiled.views.values(), key=lambda view: view.name)
        found: list[str] = []
        sources = [data_source]
        for source in sources:
            behind = [view for view in views if view.source == source and view.name not in found]
            found += [view.name for view in behind]
            sources += [view.target for view in behind]
        return {"views_with_old_rows": found} if found else {}

    def truncate(self, data_source: str) -> Mapping[str, list[str]]:
        """Delete all rows of a data source or a quarantine (`<name>_quarantine`); return views that keep old rows.

        Raises ClickpipeError 404.
        """
        self._require(data_source)
        self._importer.truncate(data_source)
        return self._left_behind(data_source)

    def quarantine_reasons(self, data_source: str, limit: int = 100) -> list[Reason]:
        """Return why rows of a data source are in quarantine. Raises ClickpipeError 404 if it is unknown."""
        self._require(f"{data_source}_quarantine", written=False)
        return reasons(self._services.engine, self._tables.live(), data_source, limit)

    def replay_quarantine(self, data_source: str) -> Job:
        """Start a job that moves rows that fit now out of the quarantine. Raises ClickpipeError 404, 400."""
        self.data_source_for_events(data_source)
        return self._services.jobs.submit(
            self.id, "quarantine_replay", data_source, self.replaying(data_source), self._parameters
        )

    def replaying(self, data_source: str) -> Work:
        """Return the work of a job that replays a quarantine."""

        def work(report: Report) -> Mapping[str, Any]:
            with self._tables.paused():
                live = self._tables.live()
                source = live.compiled.data_sources[data_source]
                try:
                    done = replay(
                        self._services.engine,
                        live,
                        source,
                        self.id,
                        self._tables,
                        lambda tables: report({"tables": list(tables)}),
                    )
                except EngineError as error:
                    if report.stopped:  # resumed after the next start
                        raise JobStopped from error
                    raise
                if done["rows"]:
                    self._tables.replaced(f"{data_source}_quarantine")
                return done

        return work

    def _require(self, table: str, *, written: bool = True) -> None:
        live = self._tables.live()
        if live.table(table) is None:
            raise _unknown(table, live.physical.tables)
        if written:
            self._tables.require_writable(table)


class LiveData(DataIn):
    """Writes to the live deployment: events go through the log."""

    def __init__(self, services: Services, tables: LiveTables, queries: QueryService, bounds: Settings) -> None:
        """Write as `DataIn` does; `buckets` imports files into it."""
        super().__init__(services, tables, queries, bounds)
        self.buckets = BucketImports(services, tables, self._importer)

    def stopped(self) -> frozenset[str]:
        """Return the data sources that do not read their topics or buckets for now."""
        return self._services.catalog.stopped.names(self.id)

    def stop_reading(self, name: str, *, stopped: bool) -> None:
        """Stop a data source's reader, or have it go on where it was; it stays so across deployments and restarts.

        Raises ClickpipeError: 404 if it is unknown, 400 if it reads neither a topic nor a bucket.
        """
        sources = self._tables.live().compiled.data_sources
        if name not in sources:
            raise _unknown(name, sources)
        if not sources[name].connector:
            message = f"'{name}' reads neither a topic nor a bucket."
            raise ClickpipeError(message, code="not_reading")
        self._services.catalog.stopped.set(self.id, name, stopped=stopped)

    def submit(self, data_source: str, lines: Lines, *, wait: bool = True) -> Future[IngestResult]:
        """Queue JSON lines for a data source; see `Ingester.submit`."""
        self.data_source_for_events(data_source)
        return self._services.ingester.submit(self.id, data_source, lines, wait=wait)


def _unknown(name: str, known: Iterable[str]) -> UnknownResource:
    sources = [("DATASOURCES", source) for source in known]
    return UnknownResource(f'Data Source "{name}" does not exist', name, sources, status=404, code="not_found")
