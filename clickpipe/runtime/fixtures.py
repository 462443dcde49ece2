"""Loads fixtures, `fixtures/<data source>.ndjson` (or .csv, .parquet, .sql), into data sources that are empty.

Classic projects keep them in `datasources/fixtures`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from clickpipe.config import require_inside
from clickpipe.deploy import Progress
from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import Dialect, FileRows, IngestResult, Lines, read_file
from clickpipe.project import DataSource
from clickpipe.runtime.workspace import Workspace

_SQL = "sql"
_FOLDERS = ("fixtures", "datasources/fixtures")  # the second is Classic's
_FORMATS = {".ndjson": "ndjson", ".csv": "csv", ".parquet": "parquet", ".sql": _SQL}  # the first that exists is used


@dataclass(frozen=True, slots=True)
class LoadedFixture:
    """The result of loading a fixture; `problem` is why rows are in quarantine, or why none were loaded."""

    data_source: str
    file: str
    result: IngestResult
    problem: str = field(default="", compare=False)


def fixture_path(root: Path, data_source: str) -> Path:
    """Return the path of a data source's fixture of events, whether or not it exists. Raises ClickpipeError."""
    return require_inside(root, root / "fixtures" / f"{data_source}.ndjson")


def load_fixtures(
    workspace: Workspace, root: Path, progress: Progress = lambda _: None, *, carry_on: bool = False
) -> list[LoadedFixture]:
    """Load the fixtures of the project in `root` into data sources that have no rows yet.

    A data source with rows, or with rows in quarantine, is skipped, so that loading twice adds nothing. Raises
    ClickpipeError if a fixture cannot be read or its SQL is refused; with `carry_on`, that becomes its `problem`.
    """
    counts = workspace.row_counts()
    live = workspace.queries.live()
    loaded: list[LoadedFixture] = []
    for name in live.ingestible():
        paths = (root / folder / f"{name}{ending}" for folder in _FOLDERS for ending in _FORMATS)
        path = next((path for path in paths if path.is_file()), None)
        if path is None or counts[name][0] or counts[f"{name}_quarantine"][0]:
            continue
        file = path.relative_to(root).as_posix()
        progress(f"loading {file} into {name}")
        kind = _FORMATS[path.suffix]
        try:
            require_inside(root, path)
            with _rows(workspace, live.compiled.data_sources[name], path, kind) as rows:
                result = workspace.append(name, rows)
        except ClickpipeError as error:
            if not carry_on:
                raise
            loaded.append(LoadedFixture(name, file, IngestResult(0, 0), error.message))
            continue
        found = workspace.data.quarantine_reasons(name, 1) if result.quarantined_rows else []
        loaded.append(LoadedFixture(name, file, result, found[0].value if found else ""))
    return loaded


@contextmanager
def _rows(workspace: Workspace, source: DataSource, path: Path, kind: str) -> Iterator[FileRows]:
    """Yield the rows of a fixture; for SQL, the rows of the SELECT, matched to columns by name."""
    if kind == _SQL:
        text = path.read_text(encoding="utf-8").strip().removesuffix(";")
        yield FileRows([Lines(workspace.select(text, "ndjson").strip())], named=True)
        return
    with read_file(path, kind, source, Dialect()) as rows:
        yield rows
