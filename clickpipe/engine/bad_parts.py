"""Remembers the parts of tables that ClickHouse could not read: it checks files when a query reads them, not before."""

from __future__ import annotations

import logging
import re
from collections import Counter
from pathlib import Path

from clickpipe.engine.protocol import EngineError

_LOGGER = logging.getLogger(__name__)
_PART = re.compile(
    r"\(while reading from part (?P<path>[^\n]{1,1000}?)/? in table (?P<table>[^\s()]{1,500}) "
    r"\((?P<uuid>[0-9a-f-]{36})\)"
)
_END = 4_000  # characters of a message in which it is: ClickHouse adds it behind the reason
# What ClickHouse says of bytes that are not what was written, or are gone. Other errors of reading are passing ones.
_DAMAGE = frozenset(
    {
        "ATTEMPT_TO_READ_AFTER_EOF",
        "CANNOT_DECOMPRESS",
        "CANNOT_OPEN_FILE",
        "CANNOT_READ_ALL_DATA",
        "CHECKSUM_DOESNT_MATCH",
        "CORRUPTED_DATA",
        "FILE_DOESNT_EXIST",
        "INCORRECT_DATA",
        "SEEK_POSITION_OUT_OF_BOUND",
        "TOO_LARGE_SIZE_COMPRESSED",
        "UNKNOWN_CODEC",
    }
)


class BadParts:
    """The damaged parts that queries of one engine came across. Methods may be called from any thread."""

    def __init__(self, folder: Path | None = None) -> None:
        """Know of none yet; `folder` has the engine's files."""
        self._folder = folder.absolute() if folder is not None else None
        self._seen: dict[str, str] = {}  # folder -> `database.table`

    def heard(self, error: EngineError) -> EngineError:
        """Remember the part that an error is about, if it is about one, and log it once; return the error, marked."""
        found = _PART.finditer(error.message[-_END:]) if error.name in _DAMAGE else ()
        match = next(filter(self._is_part, found), None)
        error.is_damage = match is not None
        if match is not None and match["path"] not in self._seen:
            self._seen[match["path"]] = match["table"]
            _LOGGER.error(
                "a part of %s is damaged (%s): queries that read it fail. Restore %s from a backup while the server is "
                "stopped, or move it elsewhere: then its rows are gone, and the others can be read",
                match["table"],
                error.name,
                match["path"],
            )
        return error

    def _is_part(self, match: re.Match[str]) -> bool:
        """Return whether there is such a table. A caller's text may look like a report, but knows no table's id."""
        path = Path(match["path"])
        inside = self._folder is not None and ".." not in path.parts and path.is_relative_to(self._folder)
        return inside and match["uuid"] in path.parts and path.parent.is_dir()

    def of(self, prefix: str) -> Counter[str]:
        """Return the number of such parts of each table (`database.table`) whose database begins with `prefix`."""
        return Counter(table for table in list(self._seen.values()) if table.startswith(prefix))
