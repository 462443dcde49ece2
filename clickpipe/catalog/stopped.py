"""Which data sources do not read their topics or buckets for now."""

from __future__ import annotations

from clickpipe.catalog.database import Database


class StoppedSources:
    """The stopped data sources of all workspaces. Methods may be called from any thread."""

    def __init__(self, database: Database) -> None:
        """Store them in the catalog's file; they stay stopped across deployments and restarts."""
        self._database = database

    def names(self, workspace_id: str) -> frozenset[str]:
        """Return the names of a workspace's stopped data sources."""
        found = self._database.rows("SELECT data_source FROM stopped WHERE workspace_id = ?", workspace_id)
        return frozenset(row["data_source"] for row in found)

    def set(self, workspace_id: str, data_source: str, *, stopped: bool) -> None:
        """Record that a data source is stopped, or reads again."""
        if stopped:
            self._database.run("INSERT OR IGNORE INTO stopped VALUES (?, ?)", workspace_id, data_source)
        else:
            sql = "DELETE FROM stopped WHERE workspace_id = ? AND data_source = ?"
            self._database.run(sql, workspace_id, data_source)
