"""Detects a catalog that is older than the data, by a generation number stored next to it.

Each change to what a workspace consists of increments the catalog's generation, which is then also written to a file of
its own. A catalog restored from an older backup, or without its `-wal`, has a smaller number than that file. The server
must not start on it: it would take newer tables for leftovers of a crash and remove them.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from clickpipe.diagnostics import ClickpipeError

_FILE = "catalog.generation"


def require_newest(path: Path) -> None:
    """Raise ClickpipeError if the catalog is missing or older than the data. Changes nothing."""
    mark = path.with_name(_FILE)
    try:
        wanted = int(mark.read_text(encoding="ascii"))
    except FileNotFoundError:
        return
    except ValueError:
        wanted = 0
    found = _read(path)
    if found is not None and found >= wanted:
        return
    what = (
        ("is damaged" if path.is_file() and path.stat().st_size else "is missing")
        if found is None
        else f"is older than the data (its state is {found}, that of the data {wanted})"
    )
    message = (
        f"The catalog {path} {what}. Tables that it does not know of would be removed, so clickpipe does not start. "
        f"Restore it together with {path.name}-wal, as they were when the server was last stopped. "
        f"To lose what was deployed since instead, remove {mark}."
    )
    raise ClickpipeError(message, status=503, code="catalog_outdated")


def _read(path: Path) -> int | None:
    """Return a catalog's generation without changing the file; None if there is none."""
    if not path.exists() or not path.stat().st_size:
        return None
    mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)) as database:
            return int(database.execute("SELECT number FROM generation").fetchone()[0])
    except (sqlite3.Error, TypeError):
        return None


def write_generation(path: Path, number: int) -> None:
    """Write the generation of the catalog at `path` durably to its own file. Raises OSError."""
    mark = path.with_name(_FILE)
    beside = mark.with_suffix(".new")
    with open(beside, "w", encoding="ascii", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(f"{number}\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(mark)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
