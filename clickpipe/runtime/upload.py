"""A file on its way into a data source: sent with a request, or to be fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clickpipe.config import Settings
from clickpipe.engine import parquet_columns
from clickpipe.ingest import Analysis, Dialect, Lines, analyze, analyze_columns, fetch, open_file, read_file
from clickpipe.project import DataSource

_SAMPLE = 4 << 20  # bytes that are looked at
_COMPRESSED = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}


@dataclass(frozen=True, slots=True)
class Upload:
    """`path` is where the file lies, or is to lie when `url` is given; `encoding` is that of its bytes."""

    data_source: str
    path: Path
    format: str
    encoding: str = ""
    url: str = ""
    dialect: Dialect = field(default_factory=Dialect)

    @contextmanager
    def read(
        self, source: DataSource, settings: Settings, report: Callable[[Mapping[str, Any]], None]
    ) -> Iterator[Iterable[Lines]]:
        """Fetch the file if it has to be, give its rows in parts, remove it. Raises ClickpipeError."""
        try:
            encoding = self._fetched(settings, report)
            with read_file(self.path, self.format, source, self.dialect, encoding) as parts:
                yield parts
        finally:
            self.path.unlink(missing_ok=True)

    def analyze(self, settings: Settings) -> Analysis:
        """Fetch the file if it has to be, and tell what columns it has; without a format, by how it begins.

        Raises ClickpipeError.
        """
        encoding = self._fetched(settings, lambda _: None)
        with self.path.open("rb") as file:
            parquet = file.read(4) == b"PAR1"
        if parquet or self.format == "parquet":
            return analyze_columns(parquet_columns(self.path))
        with open_file(self.path, encoding) as stream:
            sample = stream.read(_SAMPLE)
        begins = sample.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
        return analyze(sample, self.format or {b"{": "ndjson", b"[": "json"}.get(begins, "csv"))

    def _fetched(self, settings: Settings, report: Callable[[Mapping[str, Any]], None]) -> str:
        """Fetch the file if it has to be; return the encoding of its bytes."""
        if not self.url:
            return self.encoding

        def progress(size: int) -> None:
            if size % (64 << 20) < (1 << 20):  # not for each block
                report({"fetched_bytes": size})

        private = settings.import_private_urls == "allow"
        encoding = fetch(self.url, self.path, private=private, limit=settings.import_max_bytes, progress=progress)
        return encoding or next((e for end, e in _COMPRESSED.items() if self._file().endswith(end)), "")

    def _file(self) -> str:
        return self.url.partition("?")[0].partition("#")[0].lower()
