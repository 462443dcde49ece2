"""Imports the files of buckets: each version of a file once, also when the server is killed in the middle."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from heapq import nsmallest
from itertools import chain, islice
from typing import Any

from clickpipe.catalog import DONE, FAILED, WORKING, Entry, Job
from clickpipe.concurrency import Turns
from clickpipe.connect import Bucket, File, Objects, buckets_of
from clickpipe.diagnostics import ClickpipeError, UnknownResource
from clickpipe.engine import EngineError
from clickpipe.ingest import Dialect, Importer, is_passing, read_file
from clickpipe.jobs import Report, Work
from clickpipe.query import shown_error
from clickpipe.runtime.services import Services
from clickpipe.runtime.tables import LiveTables
from clickpipe.runtime.upload import encoding_of

MOST = "max_files"  # in the parameters of such a job: after how many files it ends
BUCKET = "bucket"  # in the parameters of an import job that takes its files from a bucket
_IN_VAIN = 3  # files that cannot be fetched, one after another, end a job
_LISTED = 50_000  # files that a job remembers at once
_COUNTED = 10_000  # files that a check counts
_TELL = 64 << 20  # bytes fetched between two reports


@dataclass(slots=True)
class _Counts:
    """What a job has imported."""

    files: int
    done: int = 0
    rows: int = 0
    quarantined: int = 0
    size: int = 0
    failed: int = 0
    problem: str = ""  # of the first file that failed

    def as_dict(self, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return it as a job's result, with what the import of the current file has reported."""
        more = more or {}
        return {
            "files": self.files,
            "files_done": self.done,
            "files_failed": self.failed,
            "rows": self.rows + more.get("rows", 0),
            "quarantine_rows": self.quarantined + more.get("quarantine_rows", 0),
            "bytes": self.size + more.get("bytes", 0),
        }

    def fail(self, key: str, problem: str) -> None:
        """Count a file that was not imported."""
        self.failed += 1
        shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in key)
        self.problem = self.problem or f"{shown}: {problem}"

    def add(self, done: Mapping[str, Any]) -> None:
        """Count a file."""
        self.done += 1
        self.rows += done["rows"]
        self.quarantined += done["quarantine_rows"]
        self.size += done["bytes"]


class BucketImports:
    """The data sources of one workspace that import files from buckets. Methods may be called from any thread."""

    def __init__(self, services: Services, tables: LiveTables, importer: Importer) -> None:
        """Write to `tables` with `importer`."""
        self._services = services
        self._tables = tables
        self._importer = importer
        self._id = tables.workspace
        self._lock = threading.Lock()
        self._jobs: dict[str, str] = {}
        self._turns = Turns()

    def all(self) -> Iterator[Bucket | tuple[str, ClickpipeError]]:
        """Yield the buckets of the live deployment; for one that cannot be read, its data source and the error."""
        live = self._services.registry.live(self._id)
        if live is not None:
            yield from buckets_of(self._id, live, partial(self._services.secrets.value, self._id))

    def bucket(self, name: str) -> Bucket:
        """Return the bucket of a data source. Raises ClickpipeError: 404 if it is unknown, 400 if it has none."""
        sources = self._tables.live().compiled.data_sources
        if name not in sources:
            known = [("DATASOURCES", one) for one in sources]
            raise UnknownResource(f'Data Source "{name}" does not exist', name, known, status=404, code="not_found")
        for found in self.all():
            if isinstance(found, Bucket) and found.data_source == name:
                return found
            if not isinstance(found, Bucket) and found[0] == name:
                raise found[1]
        message = f"'{name}' imports no files from a bucket: its datafile has no IMPORT_BUCKET_URI."
        raise ClickpipeError(message, code="no_bucket")

    def start(self, name: str, *, again: bool, most: int | None = None) -> Job:
        """Start a job that imports what is new, or return the one that is doing so; `again` tries failed files again.

        With `most`, the job ends after so many files. Raises ClickpipeError as `bucket` does.
        """
        self.bucket(name)
        jobs = self._services.jobs
        with self._lock:
            if (known := self._jobs.get(name)) and jobs.running(known) is not None:
                found = self._services.catalog.jobs.get(self._id, known)
                if found is not None:
                    return found
            parameters = {BUCKET: True, "again": again, **({} if most is None else {MOST: most})}
            job = jobs.submit(self._id, "import", name, self.work(name, again=again, most=most), parameters)
            self._jobs[name] = job.id
            return job

    def has_news(self, bucket: Bucket, check: Callable[[], None] = lambda: None) -> bool:
        """Return whether a bucket has files to import, apart from those that failed.

        Raises ClickpipeError, and what `check` raises, which is called twice a second.
        """
        return next(self._new(self._objects(bucket), check, again=False), None) is not None

    def count_matching(self, bucket: Bucket, check: Callable[[], None]) -> str:
        """List a bucket, and return how many files of it match. Raises as `has_news` does."""
        files = list(islice(chain.from_iterable(self._pages(self._objects(bucket), check)), _COUNTED + 1))
        many = f"more than {_COUNTED:,}" if len(files) > _COUNTED else f"{len(files):,}"
        return f"{many} files match IMPORT_BUCKET_URI"

    def has_begun(self, bucket: Bucket) -> bool:
        """Return whether any file of a bucket was imported, or begun."""
        return self._services.catalog.files.begun(bucket.ledger)

    def work(self, name: str, *, again: bool, most: int | None = None) -> Work:
        """Return the work of a job that imports the new files of a data source's bucket, oldest first, or `most`.

        A file that is broken does not keep the others; the job fails in the end, and says how many are missing.
        """

        def work(report: Report) -> Mapping[str, Any]:
            with self._turns.turn(name, report.check):
                return self._import(self._objects(self.bucket(name)), report, again=again, most=most)

        return work

    def _objects(self, bucket: Bucket) -> Objects:
        settings = self._services.settings
        private = settings.import_private_urls == "allow"
        limit, seconds = settings.import_max_bytes, settings.import_max_seconds
        return Objects(bucket, private=private, limit=limit, seconds=seconds)

    def _new(self, objects: Objects, check: Callable[[], None], *, again: bool) -> Iterator[File]:
        """Yield the files that are to be imported. Raises ClickpipeError if the bucket cannot be listed."""
        settled = {DONE} if again else {DONE, FAILED}
        for page in self._pages(objects, check):
            known = self._services.catalog.files.read(objects.bucket.ledger, [file.key for file in page])
            for file in page:
                entry = known.get((file.key, file.version))
                if entry is None or entry.state not in settled:
                    yield file

    def _pages(self, objects: Objects, check: Callable[[], None]) -> Iterator[list[File]]:
        return objects.pages(self._services.uploads.path(str(uuid.uuid4())), check)

    def _import(self, objects: Objects, report: Report, *, again: bool, most: int | None) -> Mapping[str, Any]:
        counts, vain = _Counts(0), 0
        for file in islice(self._oldest_first(objects, report, counts, again=again), most):
            report(counts.as_dict())
            try:
                counts.add(self._import_file(objects, file, report, counts))
                vain = 0
            except (ClickpipeError, EngineError) as error:
                if is_passing(error) or getattr(error, "code", "") == "not_found":
                    raise
                counts.fail(file.key, shown_error(error))
                fetched = not str(getattr(error, "code", "")).startswith("fetch")
                if fetched:
                    self._fail(objects.bucket, file, shown_error(error))
                vain = 0 if fetched else vain + 1
                if vain >= _IN_VAIN:
                    break
        done = counts.as_dict() if most is None else {**counts.as_dict(), "stats": {"found_files": counts.files}}
        report.tell(done)
        if counts.failed:
            message = f"{counts.failed} of {counts.files} files were not imported. {counts.problem}"
            raise ClickpipeError(message, code="files_failed")
        return done

    def _oldest_first(self, objects: Objects, report: Report, counts: _Counts, *, again: bool) -> Iterator[File]:
        """Yield the files that are to be imported, and count them. Raises ClickpipeError if the bucket has no listing.

        No more than some are kept in memory; if there are others, the bucket is listed again.
        """
        more, latest = True, None
        while more:
            new = self._new(objects, report.check, again=again)
            files = nsmallest(_LISTED, (f for f in new if latest is None or _order(f) > latest), key=_order)
            more = len(files) == _LISTED
            latest = _order(files[-1]) if files else latest
            counts.files += len(files)
            yield from files

    def _import_file(self, objects: Objects, file: File, report: Report, counts: _Counts) -> Mapping[str, Any]:
        """Import a file, or what is left of it; return what was written of it. Raises ClickpipeError, EngineError."""
        services, bucket = self._services, objects.bucket
        name, ledger = bucket.data_source, bucket.ledger
        if (source := self._tables.live().compiled.data_sources.get(name)) is None:
            message = f"The data source '{name}' is gone."
            raise ClickpipeError(message, status=404, code="not_found")
        path = services.uploads.path(str(uuid.uuid4()))

        def fetched(size: int) -> None:
            report.check()
            if size % _TELL < 1 << 20:
                report({**counts.as_dict(), "fetched_bytes": size})

        def written(progress: Mapping[str, Any]) -> None:
            services.catalog.files.write(ledger, file.key, file.version, Entry(WORKING, progress))
            report(counts.as_dict(progress))

        before = services.catalog.files.read(ledger, [file.key]).get((file.key, file.version))
        format_ = bucket.format_of(file.key)
        try:
            encoding = objects.fetch(file, path, fetched, report.check) or encoding_of(file.key)
            with read_file(path, format_, source, Dialect(), encoding, services.settings.import_max_bytes) as rows:
                progress = before.progress if before else None
                done = self._importer.append(name, rows, report=written, before=progress).as_dict()
        finally:
            path.unlink(missing_ok=True)
        kept = {key: value for key, value in done.items() if key != "blocks"}
        services.catalog.files.write(ledger, file.key, file.version, Entry(DONE, kept))
        return done

    def _fail(self, bucket: Bucket, file: File, error: str) -> None:
        """Record that a version of a file cannot be imported, and how far it was."""
        files = self._services.catalog.files
        before = files.read(bucket.ledger, [file.key]).get((file.key, file.version))
        progress = {**(before.progress if before else {}), "error": error}
        files.write(bucket.ledger, file.key, file.version, Entry(FAILED, progress))


def _order(file: File) -> tuple[datetime, str]:
    return file.changed, file.key
