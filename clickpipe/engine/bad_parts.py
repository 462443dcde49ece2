"""Remembers the parts of tables that ClickHouse could not read: it checks files when a query reads them, not before."""

from __future__ import annotations

import logging
import re
from collections import Counter

from clickpipe.engine.protocol import EngineError

_LOGGER = logging.getLogger(__name__)
_PART = re.compile(
    r"\(while reading from part (?P<path>[^\n]{1,1000}?)/? in table (?P<table>[^\s()]{1,500}) \([0-9a-f-]{36}\)"
)
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


def tells_of_damage(error: EngineError) -> bool:
    """Return whether a query failed because a file of a table is damaged, and not by itself."""
    return error.name in _DAMAGE and _PART.search(error.message) is not None


class BadParts:
    """The damaged parts that queries of one engine came across. Methods may be called from any thread."""

    def __init__(self) -> None:
        """Know of none."""
        self._seen: dict[str, str] = {}  # folder -> `database.table`

    def heard(self, error: EngineError) -> EngineError:
        """Remember the part that an error is about, if it is about one, and log it once; return the error."""
        match = _PART.search(error.message) if error.name in _DAMAGE else None
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

    def of(self, prefix: str) -> Counter[str]:
        """Return the number of such parts of each table (`database.table`) whose database begins with `prefix`."""
        return Counter(table for table in list(self._seen.values()) if table.startswith(prefix))
