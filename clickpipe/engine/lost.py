"""Finds tables whose folder is gone from the disk: ClickHouse starts with an empty one, and says nothing.

Each is noted beside the data until the table is dropped or its note removed, so that later starts tell too.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

_LOGGER = logging.getLogger(__name__)
_UUID = re.compile(r"^ATTACH TABLE \S+ UUID '([0-9a-f-]{36})'")


def note_lost_folders(data: Path) -> None:
    """Note the tables in ClickHouse's data folder, which nothing may have open, whose own folder is gone."""
    for link, definition in _tables(data):
        match = _UUID.match(definition.read_text(encoding="utf-8", errors="replace")) if definition.is_file() else None
        if match is None or (link.exists() and link.resolve().name == match[1]):
            continue
        note = _notes(data) / link.parent.name / f"{link.name}.lost"
        note.parent.mkdir(parents=True, exist_ok=True)
        note.touch()
        _LOGGER.error(
            "the rows of %s.%s are gone: their folder %s is missing. Restore it from a backup while the server is "
            "stopped, or remove %s to be told no more",
            *(link.parent.name, link.name, link.readlink(), note),
        )


def lost_tables(folder: Path) -> list[str]:
    """Return the tables (`database.table`) in an engine's folder that lost their rows, and are still there."""
    found = []
    for note in _notes(folder / "data").glob("*/*.lost"):
        database, table = note.parent.name, note.stem
        if (folder / "data" / "metadata" / database / f"{table}.sql").exists():
            found.append(f"{database}.{table}")
        else:
            note.unlink(missing_ok=True)
    return sorted(found)


def _notes(data: Path) -> Path:
    return data.parent / "damaged"


def _tables(data: Path) -> Iterator[tuple[Path, Path]]:
    """Yield for each table that keeps rows on disk the link to its folder, and its definition."""
    for database in sorted((data / "data").glob("ws_*")):
        for link in sorted(database.iterdir()):
            if link.is_symlink():
                yield link, data / "metadata" / database.name / f"{link.name}.sql"
