"""How far deployments have filled their tables: what a server needs to go on with it after a stop."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from clickpipe.catalog.database import Database


class BackfillStore:
    """The backfills under way in all workspaces. Methods may be called from any thread."""

    def __init__(self, database: Database) -> None:
        """Keep them in the catalog's file."""
        self._database = database

    def begin(self, workspace_id: str, number: int, work: Mapping[str, Any]) -> None:
        """Record that a deployment's tables are made, and what is left to do (a JSON document)."""
        self._database.run(
            "INSERT OR REPLACE INTO backfills VALUES (?, ?, ?, '[]')", workspace_id, number, json.dumps(dict(work))
        )

    def work(self, workspace_id: str, number: int) -> dict[str, Any] | None:
        """Return what was recorded by `begin`; None where a deployment had not come so far, or has ended."""
        rows = self._database.rows(
            "SELECT work FROM backfills WHERE workspace_id = ? AND deployment = ?", workspace_id, number
        )
        found: dict[str, Any] | None = json.loads(rows[0]["work"]) if rows else None
        return found

    def done(self, workspace_id: str, number: int) -> list[str]:
        """Return what is done of it, in the words of `set_done`."""
        rows = self._database.rows(
            "SELECT done FROM backfills WHERE workspace_id = ? AND deployment = ?", workspace_id, number
        )
        found: list[str] = json.loads(rows[0]["done"]) if rows else []
        return found

    def set_done(self, workspace_id: str, number: int, done: list[str]) -> None:
        """Record what is done of it."""
        sql = "UPDATE backfills SET done = ? WHERE workspace_id = ? AND deployment = ?"
        self._database.run(sql, json.dumps(done), workspace_id, number)

    def end(self, workspace_id: str, number: int) -> None:
        """Forget it: all is done, or nothing will be."""
        self._database.run("DELETE FROM backfills WHERE workspace_id = ? AND deployment = ?", workspace_id, number)
