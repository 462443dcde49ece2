"""How far external sources, such as Kafka partitions or files, have been read into data sources."""

from __future__ import annotations

from collections.abc import Mapping

from clickpipe.catalog.database import Database


class PositionStore:
    """The positions of all workspaces. Methods may be called from any thread."""

    def __init__(self, database: Database) -> None:
        """Store them in the catalog's file."""
        self._database = database

    def advance(self, workspace_id: str, data_source: str, positions: Mapping[str, Mapping[str, int]]) -> None:
        """Advance positions in one transaction: source → partition → next number. Positions never go back.

        Raises sqlite3.Error; then none has changed.
        """
        sql = (
            "INSERT INTO positions VALUES (?, ?, ?, ?, ?) ON CONFLICT (workspace_id, data_source, source, part) "
            "DO UPDATE SET next = max(next, excluded.next)"
        )
        with self._database.transaction():
            for source, parts in positions.items():
                for part, number in parts.items():
                    self._database.run(sql, workspace_id, data_source, source, part, number)

    def read(self, workspace_id: str, data_source: str, source: str) -> dict[str, int]:
        """Return the next number for each partition of a source that has rows in a data source."""
        sql = "SELECT part, next FROM positions WHERE workspace_id = ? AND data_source = ? AND source = ?"
        return {row["part"]: row["next"] for row in self._database.rows(sql, workspace_id, data_source, source)}
