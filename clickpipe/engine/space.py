"""Definitions of tables on a full disk: not written, and mended where an older version wrote them.

ClickHouse writes the text of a definition without looking at whether it got to the disk: CREATE and ALTER on a full one
succeed, and leave an empty file with which it does not start again. So they are refused while there is little space.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from clickpipe.engine.protocol import EngineError

_LOGGER = logging.getLogger(__name__)
_DEFINES = re.compile(
    r"\s*+(?:CREATE|ALTER|ATTACH)\b(?P<missing>\s+\w+(?:\s+\w+)?\s+IF\s+NOT\s+EXISTS)?", re.IGNORECASE
)
_NEEDED = 8 << 20  # bytes: the text of a definition, and what others write at the same time
_MISSING = 256 << 10  # of what is made where it is missing, by each start: mostly it is there
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def require_space(folder: Path | None, sql: str) -> None:
    """Refuse a statement that writes a definition when the disk is nearly full. Raises EngineError."""
    if folder is None or (match := _DEFINES.match(sql)) is None:
        return
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    required = _MISSING if match["missing"] else _NEEDED
    if free < required:
        needed = f"Cannot reserve {required >> 10} KiB, not enough space: {free >> 10} KiB are free"
        raise EngineError(f"Code: 243. DB::Exception: {needed}. (NOT_ENOUGH_SPACE)")


def mend_definitions(data: Path) -> int:
    """Mend empty definitions below ClickHouse's data folder, which nothing may have open; return how many they were.

    That of a database is written again; a table without rows is removed. Raises EngineError for one with rows.
    """
    count = 0
    for file in sorted((data / "metadata").glob("*.sql")):
        database = file.with_suffix("")
        if not file.stat().st_size:
            uuid = database.resolve().name
            if _UUID.fullmatch(uuid):
                file.write_text(f"ATTACH DATABASE _ UUID '{uuid}'\nENGINE = Atomic\n")
            else:  # one in memory
                file.unlink()
            count += 1
        for table in sorted(database.glob("*.sql")) if database.is_dir() else ():
            if not table.stat().st_size:
                _remove_empty(table, data / "data" / database.name / table.stem)
                count += 1
    return count


def _remove_empty(definition: Path, rows: Path) -> None:
    if any((part / "count.txt").exists() for part in rows.glob("*_*_*_*")):
        message = (
            f"The definition of the table {rows.parent.name}.{rows.name} is empty, which a full disk leaves; its rows "
            f"are there. Restore {definition} from a backup."
        )
        raise EngineError(message)
    _LOGGER.error("the definition of the empty table %s.%s is lost: the table is removed", rows.parent.name, rows.name)
    definition.unlink()
    if rows.is_symlink():
        rows.unlink()
