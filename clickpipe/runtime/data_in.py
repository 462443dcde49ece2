"""Changes the rows of a deployment's data sources: imports, deletions, quarantines."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from clickpipe.catalog import Job
from clickpipe.concurrency import in_thread
from clickpipe.diagnostics import ClickpipeError, UnknownResource
from clickpipe.engine import EngineError
from clickpipe.ingest import FileRows, Importer, IngestResult, Lines, Reason, Replacing, reasons, replay
from clickpipe.jobs import JobCancelled, JobStopped, Report, Work
from clickpipe.query import QueryService, compose_condition, failure
from clickpipe.runtime.services import Services
from clickpipe.runtime.upload import COMPLETE, Upload


class DataIn:
    """Writes to the data sources of the live deployment or of staging. May be called from any thread."""

    _services: Services
    _importer: Importer
    queries: QueryService
    id: str
    paused: Callable[[], AbstractContextManager[None]]
    _outdate: Callable[[str], None]
    sever_standby: Callable[[EngineError], bool]
    _parameters: Mapping[str, Any] = {}  # stored with its jobs

    def _writable(self, table: str) -> None:
        """Raise ClickpipeError if this deployment may not write to a table."""

    def data_source_for_events(self, name: str) -> None:
        """Raise ClickpipeError unless the data source accepts events: 404 if it is unknown."""
        live = self.queries.live()
        if live.takes_events(name):
            self._writable(name)
            return
        if name in live.compiled.data_sources:
            message = f"The data source '{name}' holds aggregate states: a materialized view fills it, events cannot."
            raise ClickpipeError(message, code="not_ingestible")
        raise _unknown(name, live.ingestible())

    def import_file(self, upload: Upload, *, mode: str = "append") -> Job:
        """Start a job that appends a file's rows, or replaces the rows that `upload.replacing` selects.

        The file is removed at the end. Raises ClickpipeError: 404 for an unknown data source, 400 for a bad condition.
        """
        self.data_source_for_events(upload.data_source)
        if upload.replacing.condition:
            compose_condition(self._services.engine, self.queries.live(), upload.replacing.condition)
        upload.sync()
        parameters = {"upload": upload.as_dict(), "mode": mode, **self._parameters}
        work = self._import(parameters)
        return self._services.jobs.submit(self.id, "import", upload.data_source, work, parameters)

    def _import(self, parameters: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> Work:
        """Return the work of an import job; `before` is what it had reported before a restart."""
        upload = Upload.of(parameters["upload"])
        name, how = upload.data_source, upload.replacing

        def work(report: Report) -> Mapping[str, Any]:
            live, importer = self.queries.live(), self._importer
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
        where = compose_condition(self._services.engine, self.queries.live(), condition)
        return self._importer.settled(data_source), where

    def delete_rows(self, data_source: str, condition: str) -> int:
        """Delete the rows that match a condition; return how many there were. Raises ClickpipeError 400 and 404."""
        live = self.queries.live()
        self._require(data_source)
        where = compose_condition(self._services.engine, live, condition)
        try:
            return self._importer.delete(data_source, where)
        except EngineError as error:
            raise failure(error) from error

    def delete_job(self, data_source: str, condition: str) -> Job:
        """Start a job that deletes rows. Raises ClickpipeError 400 and 404."""
        self._require(data_source)
        compose_condition(self._services.engine, self.queries.live(), condition)
        parameters = {"condition": condition, **self._parameters}
        return self._services.jobs.submit(
            self.id, "delete_data", data_source, self._deletion(data_source, condition), parameters
        )

    def _deletion(self, data_source: str, condition: str) -> Work:
        def work(report: Report) -> Mapping[str, Any]:
            engine, tag, counting = self._services.engine, uuid.uuid4().hex, uuid.uuid4().hex
            where = compose_condition(engine, self.queries.live(), condition)

            def stop() -> None:
                engine.cancel(counting)
                engine.cancel(tag)

            try:
                with report.ending(stop, lambda: engine.cancel(counting)):
                    rows = self._importer.delete(data_source, where, tag=tag, counting=counting)
            except EngineError as error:
                if report.stopped:  # repeated after the next start
                    raise JobStopped from error
                if report.cancelled:  # during the count: nothing was deleted
                    raise JobCancelled from error
                raise failure(error) from error
            return {"rows_affected": rows, "delete_condition": condition, **self._left_behind(data_source)}

        return work

    def _left_behind(self, data_source: str) -> dict[str, list[str]]:
        """Return the views that still hold rows made from a data source's old rows, in the order to rebuild them."""
        views = sorted(self.queries.live().compiled.views.values(), key=lambda view: view.name)
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
        return reasons(self._services.engine, self.queries.live(), data_source, limit)

    def replay_quarantine(self, data_source: str) -> Job:
        """Start a job that moves rows that fit now out of the quarantine. Raises ClickpipeError 404, 400."""
        self.data_source_for_events(data_source)
        return self._services.jobs.submit(
            self.id, "quarantine_replay", data_source, self._replay(data_source), self._parameters
        )

    def _replay(self, data_source: str) -> Work:
        def work(report: Report) -> Mapping[str, Any]:
            with self.paused():
                live = self.queries.live()
                source = live.compiled.data_sources[data_source]
                try:
                    done = replay(
                        self._services.engine,
                        live,
                        source,
                        self.id,
                        self.sever_standby,
                        lambda tables: report({"tables": list(tables)}),
                    )
                except EngineError as error:
                    if report.stopped:  # resumed after the next start
                        raise JobStopped from error
                    raise
                if done["rows"]:
                    self._outdate(f"{data_source}_quarantine")
                return done

        return work

    def _require(self, table: str, *, written: bool = True) -> None:
        live = self.queries.live()
        if live.table(table) is None:
            raise _unknown(table, live.physical.tables)
        if written:
            self._writable(table)


def _unknown(name: str, known: Iterable[str]) -> UnknownResource:
    sources = [("DATASOURCES", source) for source in known]
    return UnknownResource(f'Data Source "{name}" does not exist', name, sources, status=404, code="not_found")
