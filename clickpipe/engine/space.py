"""Protects definitions of tables and mutations on a full disk: refuses to write them, repairs those that are empty.

ClickHouse does not check that a definition reached the disk: on a full one, CREATE and ALTER succeed but leave an empty
file, and ClickHouse does not start again. So we refuse these statements while space is low.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path

from clickpipe.engine.protocol import EngineError

_LOGGER = logging.getLogger(__name__)
_NAME = r"(?:`(?:[^`\\]|\\.)++`|\w++)"
_DEFINES = re.compile(
    r"\s*+(?P<verb>CREATE|ALTER|ATTACH)\s++(?:(?P<kind>DATABASE|TABLE|(?:MATERIALIZED\s++)?VIEW)\b\s*+)?"
    rf"(?P<missing>IF\s++NOT\s++EXISTS\s++)?(?P<name>{_NAME}(?:\.{_NAME})?)?",
    re.IGNORECASE,
)
_NEEDED = 8 << 20  # bytes: for the definition, and for whatever else is written meanwhile
_MISSING = 256 << 10  # for IF NOT EXISTS, which every start runs: usually nothing is created
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def require_space(folder: Path | None, sql: str) -> None:
    """Raise EngineError if the statement writes a definition and the disk is nearly full."""
    if folder is not None and (match := _DEFINES.match(sql)) is not None:
        required = _MISSING if match["missing"] else _NEEDED
        if _free(folder) < required:
            raise _full(f"{required >> 10} KiB are needed for a definition")


def keep_definition(folder: Path | None, sql: str, run: Callable[[str], object]) -> None:
    """Check after a statement that its definition was written, as the disk may have filled up meanwhile.

    If not, drop what was created, through `run`, and raise EngineError.
    """
    if folder is None or (match := _DEFINES.match(sql)) is None or not match["name"]:
        return
    file = definition_of(folder, match["name"])
    if not file.exists() or file.stat().st_size:
        return
    if match["verb"].upper() == "CREATE":
        kind = "DATABASE" if (match["kind"] or "").upper() == "DATABASE" else "TABLE"
        run(f"DROP {kind} IF EXISTS {match['name']}")
    raise _full(f"the definition of {match['name']} was not written")


def definition_of(folder: Path, name: str) -> Path:
    """Return the definition file of a table or database."""
    return folder / "data" / "metadata" / f"{name.replace('`', '').replace('.', '/')}.sql"


def unwritten_mutations(data: Path) -> list[Path]:
    """Return the mutation files in ClickHouse's data folder whose text did not reach the disk.

    Any of them keeps ClickHouse from starting and from attaching the table.
    """
    found = []
    for file in data.glob("store/*/*/mutation_*.txt"):
        with contextlib.suppress(FileNotFoundError):  # the mutation has finished
            if not file.read_bytes().endswith(b"\n"):
                found.append(file)
    return found


def mend_mutations(data: Path) -> int:
    """Remove incomplete mutations; nothing may have the folder open. Return how many there were."""
    found = unwritten_mutations(data)
    for file in found:
        file.unlink()
    return len(found)


def _free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def _full(why: str) -> EngineError:
    return EngineError(f"Code: 243. DB::Exception: not enough space on the disk: {why}. (NOT_ENOUGH_SPACE)")


def mend_definitions(data: Path) -> int:
    """Repair empty definitions in ClickHouse's data folder, which nothing may have open; return how many there were.

    A database's definition is written again, also if it is missing; a table without rows is removed. Raises EngineError
    if it has rows.
    """
    count = 0
    for folder in sorted((data / "metadata").glob("*")):
        if folder.is_symlink() and folder.is_dir() and not (file := folder.with_suffix(".sql")).exists():
            attach_database(file, folder.resolve().name)
            count += 1
    for file in sorted((data / "metadata").glob("*.sql")):
        database = file.with_suffix("")
        if not file.stat().st_size:
            attach_database(file, database.resolve().name)
            count += 1
        for table in sorted(database.glob("*.sql")) if database.is_dir() else ():
            if not table.stat().st_size:
                _remove_empty(table, data / "data" / database.name / table.stem)
                count += 1
    return count


def attach_database(file: Path, uuid: str) -> None:
    """Write a database's definition anew, given the name of the folder with its tables' definitions."""
    if _UUID.fullmatch(uuid):
        file.write_text(f"ATTACH DATABASE _ UUID '{uuid}'\nENGINE = Atomic\n", encoding="utf-8")
    else:  # a database in memory
        file.unlink(missing_ok=True)


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
