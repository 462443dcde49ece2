"""The progress of deployments that fill their tables, so that they can be resumed after a restart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from clickpipe.catalog.database import Database


class BackfillStore:
    """The running backfills of all workspaces. Methods may be called from any thread."""

    def __init__(self, database: Database) -> None:
        """Store them in the catalog's file."""
        self._database = database

    def begin(self, workspace_id: str, number: int, work: Mapping[str, Any]) -> None:
        """Record that a deployment's tables exist, and what is left to do (a JSON object)."""
        self._database.run(
            "INSERT OR REPLACE INTO backfills VALUES (?, ?, ?, '[]')", workspace_id, number, json.dumps(dict(work))
        )

    def work(self, workspace_id: str, number: int) -> dict[str, Any] | None:
        """Return what `begin` recorded; None if the deployment has not begun to fill its tables, or has ended."""
        rows = self._database.rows(
            "SELECT work FROM backfills WHERE workspace_id = ? AND deployment = ?", workspace_id, number
        )
        found: dict[str, Any] | None = json.loads(rows[0]["work"]) if rows else None
        return found

    def done(self, workspace_id: str, number: int) -> list[str]:
        """Return what `set_done` last recorded."""
        rows = self._database.rows(
            "SELECT done FROM backfills WHERE workspace_id = ? AND deployment = ?", workspace_id, number
        )
        found: list[str] = json.loads(rows[0]["done"]) if rows else []
        return found

    def set_done(self, workspace_id: str, number: int, done: list[str]) -> None:
        """Record what is done so far."""
        sql = "UPDATE backfills SET done = ? WHERE workspace_id = ? AND deployment = ?"
        self._database.run(sql, json.dumps(done), workspace_id, number)

    def end(self, workspace_id: str, number: int) -> None:
        """Delete the record: the backfill is complete, or was given up."""
        self._database.run("DELETE FROM backfills WHERE workspace_id = ? AND deployment = ?", workspace_id, number)
