"""A file on its way into a data source: sent with a request, or to be fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clickpipe.config import Settings
from clickpipe.ingest import Dialect, Lines, fetch, read_file
from clickpipe.project import DataSource

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
            encoding = self.encoding
            if self.url:
                private = settings.import_private_urls == "allow"

                def progress(size: int) -> None:
                    if size % (64 << 20) < (1 << 20):  # not for each block
                        report({"fetched_bytes": size})

                encoding = fetch(
                    self.url, self.path, private=private, limit=settings.import_max_bytes, progress=progress
                )
                encoding = encoding or next((e for end, e in _COMPRESSED.items() if self._file().endswith(end)), "")
            with read_file(self.path, self.format, source, self.dialect, encoding) as parts:
                yield parts
        finally:
            self.path.unlink(missing_ok=True)

    def _file(self) -> str:
        return self.url.partition("?")[0].partition("#")[0].lower()
