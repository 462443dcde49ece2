"""Fixtures: `fixtures/<data source>.ndjson` of a project, loaded once into a data source that is empty."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clickpipe.deploy import Progress
from clickpipe.ingest import IngestResult, Lines, lines_of
from clickpipe.runtime.workspace import Workspace

_BATCH_BYTES = 8 << 20
_OTHER_FORMS = (".csv", ".sql")


@dataclass(frozen=True, slots=True)
class LoadedFixture:
    """What became of one fixture's rows."""

    data_source: str
    file: str
    result: IngestResult


def fixture_path(root: Path, data_source: str) -> Path:
    """Return where a data source's fixture lies, whether it exists or not."""
    return root / "fixtures" / f"{data_source}.ndjson"


def load_fixtures(workspace: Workspace, root: Path, progress: Progress = lambda _: None) -> list[LoadedFixture]:
    """Load the fixtures of the project in `root` into those data sources that have no row yet.

    A data source with rows, or with rows in quarantine, is left as it is, so that loading twice adds nothing.
    """
    counts = workspace.row_counts()
    loaded: list[LoadedFixture] = []
    for name in workspace.queries.live().ingestible():
        path = fixture_path(root, name)
        if not path.is_file():
            for other in (path.with_suffix(ending) for ending in _OTHER_FORMS):
                if other.is_file():
                    progress(f"fixtures/{other.name} is not loaded: only .ndjson fixtures are")
            continue
        if counts[name][0] or counts[f"{name}_quarantine"][0]:
            continue
        progress(f"loading fixtures/{path.name} into {name}")
        loaded.append(LoadedFixture(name, f"fixtures/{path.name}", _load(workspace, name, path)))
    return loaded


def _load(workspace: Workspace, name: str, path: Path) -> IngestResult:
    good = bad = 0
    for batch in _batches(lines_of(path.read_bytes())):
        result = workspace.submit(name, batch).result()
        good, bad = good + result.successful_rows, bad + result.quarantined_rows
    return IngestResult(good, bad)


def _batches(lines: Lines) -> Iterator[Lines]:
    """Yield lines in parts of a few MB."""
    batch: list[bytes] = []
    size = 0
    for line in lines.data.split(b"\n") if lines.data else ():
        if batch and size + len(line) > _BATCH_BYTES:
            yield Lines.of(batch)
            batch, size = [], 0
        batch.append(line)
        size += len(line)
    if batch:
        yield Lines.of(batch)
