"""A file to import into a data source: sent with a request, or to be fetched from a URL."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from clickpipe.config import Settings
from clickpipe.engine import parquet_columns
from clickpipe.ingest import (
    Analysis,
    Dialect,
    FileRows,
    Replacing,
    analyze,
    analyze_columns,
    fetch,
    in_utf8,
    open_file,
    read_file,
)
from clickpipe.jobs import JobStopped, Report
from clickpipe.project import DataSource

COMPLETE = "complete"  # in the report of an import job whose rows are all in
_TELL = 1.0  # seconds between two reports of how much is fetched
_SAMPLE = 4 << 20  # bytes to analyze
_COMPRESSED = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to import. It is at `path`, or goes there when fetched from `url`; `encoding` is its compression."""

    data_source: str
    path: Path
    format: str
    encoding: str = ""
    url: str = ""
    dialect: Dialect = field(default_factory=Dialect)
    replacing: Replacing = field(default_factory=Replacing)

    def as_dict(self) -> dict[str, Any]:
        """Return it as stored with a job, for `of`."""
        return {**asdict(self), "path": str(self.path)}

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Self:
        """Restore it from what `as_dict` returned."""
        dialect, replacing = Dialect(**kept["dialect"]), Replacing(**kept.get("replacing", {}))
        return cls(**{**kept, "path": Path(kept["path"]), "dialect": dialect, "replacing": replacing})

    @contextmanager
    def read(self, source: DataSource, settings: Settings, report: Report) -> Iterator[FileRows]:
        """Fetch the file if necessary, yield its rows, and remove it unless the server stops. Raises ClickpipeError."""
        try:
            encoding = self._fetched(settings, report)
            with read_file(self.path, self.format, source, self.dialect, encoding, settings.import_max_bytes) as rows:
                yield rows
        except JobStopped:
            raise
        except BaseException:
            self.remove()
            raise
        self.remove()

    @property
    def _encoding_file(self) -> Path:
        """A file with the encoding of `path`; it exists once that is fetched completely."""
        return self.path.with_suffix(".encoding")

    def remove(self) -> None:
        """Remove the file, if it is there."""
        self.path.unlink(missing_ok=True)
        self._encoding_file.unlink(missing_ok=True)

    def sync(self) -> None:
        """Flush an uploaded file to disk. Raises OSError."""
        if not self.url:
            with self.path.open("rb") as file:
                os.fsync(file.fileno())

    def analyze(self, settings: Settings) -> Analysis:
        """Fetch the file if necessary, and return its columns. Without a format, guess it from the first bytes.

        Raises ClickpipeError.
        """
        encoding = self._fetched(settings, Report())
        self._encoding_file.unlink(missing_ok=True)
        with self.path.open("rb") as file:
            parquet = file.read(4) == b"PAR1"
        if parquet or self.format == "parquet":
            return analyze_columns(parquet_columns(self.path))
        with open_file(self.path, encoding) as file:
            stream = in_utf8(file, self.dialect.charset)
            sample, cut = stream.read(_SAMPLE), bool(stream.read(1))
        begins = sample.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
        return analyze(sample, self.format or {b"{": "ndjson", b"[": "json"}.get(begins, "csv"), cut=cut)

    def _fetched(self, settings: Settings, report: Report) -> str:
        """Fetch the file if necessary; return the encoding of its bytes."""
        if not self.url:
            return self.encoding
        if self._encoding_file.exists():  # fetched before a restart
            return self._encoding_file.read_text(encoding="utf-8")

        told = time.monotonic()

        def progress(size: int) -> None:
            nonlocal told
            if time.monotonic() - told >= _TELL:  # by time: a slow server's job must hear that it is to end
                told = time.monotonic()
                report({"fetched_bytes": size})

        private = settings.import_private_urls == "allow"
        encoding = fetch(
            self.url,
            self.path,
            private=private,
            limit=settings.import_max_bytes,
            progress=progress,
            check=report.check,
            seconds=settings.import_max_seconds,
        )
        encoding = encoding or encoding_of(self._file())
        self._encoding_file.write_text(encoding, encoding="utf-8")
        return encoding

    def _file(self) -> str:
        return self.url.partition("?")[0].partition("#")[0].lower()


def encoding_of(name: str) -> str:
    """Return the compression that a file's name tells: `gzip`, `zstd` or ''."""
    return next((encoding for ending, encoding in _COMPRESSED.items() if name.lower().endswith(ending)), "")


def is_there(parameters: Mapping[str, Any]) -> bool:
    """Return whether the file of an import job still exists or can be fetched."""
    upload = parameters.get("upload")
    return upload is not None and (bool(upload["url"]) or Path(upload["path"]).is_file())
