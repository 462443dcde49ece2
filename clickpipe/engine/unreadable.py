"""Puts definitions aside that ClickHouse cannot read, so that it starts with all other tables.

ClickHouse starts on all of its definitions or not at all, and the embedded one writes its reason to stderr only. So
another process tries the start, and we read there which file it was. Rows are never touched: a definition that is put
back finds them.
"""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from clickpipe.engine.protocol import EngineError
from clickpipe.engine.space import attach_database
from clickpipe.engine.spool import SPOOL_DATABASE, SPOOL_MARK

_LOGGER = logging.getLogger(__name__)
_TRY = "import sys; from clickpipe.engine.sessions import session_type; session_type()(sys.argv[1])"
_STARTS_WITHIN = 300  # seconds
_FILE = re.compile(r"(?:\(in file|metadata file|Cannot open file) ((?:store|metadata)/[^\n]{1,500}?\.sql)\b")
_STRAY = re.compile(r"Incorrect file extension: ([^\n/]{1,300}) in metadata directory ([^\n]{1,1000})/\.")
# Codes of errors about what a file says: nothing is put aside for others, as a lack of memory, space or permission.
_ABOUT_A_FILE = frozenset({6, 16, 26, 27, 32, 33, 36, 42, 43, 44, 46, 47, 50, 53, 56, 62, 72, 79, 80, 115, 117, 246})
_CODES = re.compile(r"Code: (\d+)\. DB::")
_TWICE = "already exists"  # two definitions of one table: which of them is wrong nobody can tell
_WHERE = re.compile(r" ?\(in file [^)]*\)|: Cannot (?:parse definition|attach table).*", re.DOTALL)
_CODE = re.compile(r"(?:Code: \d+\. )?DB::\w*Exception: |(?:Waited job failed|Load job '[^']*' failed): ")


def start_on_what_is_readable(folder: Path | None, start: Callable[[], None]) -> None:
    """Start ClickHouse in an engine's folder, if there is one.

    Definitions that keep it from starting are put aside, one after the other. Raises EngineError with the reason if it
    is something else.
    """
    seen: set[Path] = set()
    while True:
        try:
            start()
        except EngineError:
            data = folder / "data" if folder is not None else Path()
            if folder is None or not data.is_dir():
                raise
            told = _start_elsewhere(f"{data}?config-file={folder / 'config' / 'config.xml'}")
            file = _named(data, told)
            if not told:
                raise
            if file is None or _TWICE in told or file in seen:
                text = _twice(data, file) if file is not None and _TWICE in told else _reason(told)
                raise EngineError(text) from None
            seen.add(file)
            _put_aside(data, file, _reason(told))
        else:
            return


def _start_elsewhere(address: str) -> str:
    """Try the start in another process; return what ClickHouse says there."""
    command = [sys.executable, "-c", _TRY, address]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_STARTS_WITHIN, check=False)  # noqa: S603 - our own
    except (OSError, subprocess.TimeoutExpired):
        return ""
    text = done.stderr.decode(errors="replace")
    return text.partition("\nTraceback ")[0].strip() if done.returncode else ""


def _named(data: Path, told: str) -> Path | None:
    """Return the file that an error is about, if it is there."""
    if match := _STRAY.search(told):
        file = data / match[2] / match[1]
    elif match := _FILE.search(told):
        file = data / match[1]
    else:
        return None
    codes = [int(code) for code in _CODES.findall(told)]
    about_it = file.is_dir() or _TWICE in told or (bool(codes) and codes[-1] in _ABOUT_A_FILE)
    return file if about_it and file.exists() else None


def _twice(data: Path, file: Path) -> str:
    """Return why a table is defined twice."""
    if any(path.is_dir() and not path.is_symlink() for path in (data / "metadata").iterdir()):
        return (
            f"{data / 'metadata'} has folders where ClickHouse keeps links: a copy that follows links has everything "
            "twice. Copy the whole data folder again, with its links (`cp -a`, `rsync -a`, `tar`)"
        )
    return f"{file} defines a table that another file there defines too"


def _reason(told: str) -> str:
    """Return the first line of an error, without ClickHouse's codes and paths."""
    line = _CODE.sub("", _WHERE.sub("", told)).strip().partition("\n")[0]
    return "".join(c if c.isprintable() else "?" for c in line)[:200]


def _put_aside(data: Path, file: Path, reason: str) -> None:
    if file.parent == data / "metadata":
        uuid = file.with_suffix("").resolve().name
        _LOGGER.error("the definition of the database %s cannot be read (%s): it is written anew", file.stem, reason)
        attach_database(file, uuid)
        return
    database = _database(data, file)
    folder = data.parent / "damaged" / database
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / file.name
    if kept.exists():
        kept = folder / f"{file.name}.{time.time_ns()}"
    file.rename(kept)
    if database == SPOOL_DATABASE:  # all of it is made anew
        (data.parent / "spool" / SPOOL_MARK).unlink(missing_ok=True)
        return
    if file.suffix != ".sql":
        _LOGGER.error("%s is no definition of a table: it is put aside as %s", file, kept)
        return
    _LOGGER.error(
        "the table %s.%s cannot be loaded (%s): its definition is put aside as %s. Its rows are still there. To have "
        "it back, stop the server, mend what the reason says, put the definition or a copy from a backup at %s, and "
        "start again",
        database,
        file.stem,
        reason,
        kept,
        data / "metadata" / database / file.name,
    )


def _database(data: Path, file: Path) -> str:
    """Return the database of a definition, which is in a folder named by a UUID."""
    folder = file.parent.resolve()
    links = (link for link in (data / "metadata").iterdir() if link.is_symlink() and link.resolve() == folder)
    return next((link.name for link in links), folder.name)
