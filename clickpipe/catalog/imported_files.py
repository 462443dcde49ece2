"""Which files of buckets have been imported, and how far a file is that is being imported."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from clickpipe.catalog.database import Database
from clickpipe.catalog.times import now

WORKING, DONE, FAILED = "working", "done", "failed"
_AT_ONCE = 500  # keys per statement


@dataclass(frozen=True, slots=True)
class Ledger:
    """Whose files: those of a bucket that a data source imports."""

    workspace_id: str
    data_source: str
    bucket: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one version of a file: its state, and its import's last report."""

    state: str
    progress: Mapping[str, Any]


class FileLedger:
    """The imported files of all workspaces. Methods may be called from any thread."""

    def __init__(self, database: Database) -> None:
        """Store them in the catalog's file."""
        self._database = database

    def write(self, ledger: Ledger, key: str, version: str, entry: Entry) -> None:
        """Record what is known of a version of a file. Raises sqlite3.Error."""
        self._database.run(
            "INSERT OR REPLACE INTO imported_files VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            *(ledger.workspace_id, ledger.data_source, ledger.bucket, key, version, entry.state),
            *(json.dumps(dict(entry.progress)), now()),
        )

    def read(self, ledger: Ledger, keys: Iterable[str]) -> dict[tuple[str, str], Entry]:
        """Return what is known of files by (key, version); what was never begun is not in it."""
        wanted, found = list(keys), {}
        for at in range(0, len(wanted), _AT_ONCE):
            some = wanted[at : at + _AT_ONCE]
            sql = (
                "SELECT key, version, state, progress FROM imported_files "
                f"WHERE workspace_id = ? AND data_source = ? AND bucket = ? AND key IN ({','.join('?' * len(some))})"
            )
            for row in self._database.rows(sql, ledger.workspace_id, ledger.data_source, ledger.bucket, *some):
                found[row["key"], row["version"]] = Entry(row["state"], json.loads(row["progress"]))
        return found

    def begun(self, ledger: Ledger) -> bool:
        """Return whether any file of a bucket has been begun."""
        sql = "SELECT 1 FROM imported_files WHERE workspace_id = ? AND data_source = ? AND bucket = ? LIMIT 1"
        return bool(self._database.rows(sql, ledger.workspace_id, ledger.data_source, ledger.bucket))
