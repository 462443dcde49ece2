"""Secrets of workspaces, for `tb_secret()`: encrypted like tokens, and readable only by templates."""

from __future__ import annotations

import threading

from clickpipe.catalog.database import Database
from clickpipe.catalog.model import Secret
from clickpipe.catalog.times import now
from clickpipe.config import Cipher


class SecretStore:
    """The secrets of all workspaces. Methods may be called from any thread."""

    def __init__(self, database: Database, cipher: Cipher | None) -> None:
        """Store them in the catalog's file, in plain text if there is no cipher."""
        self._database = database
        self._cipher = cipher
        self._lock = threading.Lock()
        self._values: dict[str, dict[str, str]] = {}  # cache, by workspace

    def all(self, workspace_id: str) -> list[Secret]:
        """Return the secrets of a workspace, sorted by name, without values."""
        sql = "SELECT name, created_at, updated_at FROM secrets WHERE workspace_id = ? ORDER BY name"
        return [Secret(**row) for row in self._database.rows(sql, workspace_id)]

    def value(self, workspace_id: str, name: str) -> str | None:
        """Return a secret's value, or None. Raises ClickpipeError if it was encrypted with another key."""
        values = self._values.get(workspace_id)
        if values is None:
            with self._lock:
                sql = "SELECT name, value FROM secrets WHERE workspace_id = ?"
                rows = self._database.rows(sql, workspace_id)
                values = {row["name"]: self._decrypted(row["value"]) for row in rows}
                self._values[workspace_id] = values
        return values.get(name)

    def put(self, workspace_id: str, name: str, value: str) -> bool:
        """Set a secret; return whether it is new."""
        kept = self._cipher.encrypt(value) if self._cipher else value
        with self._lock, self._database.transaction():
            changed = self._database.run(
                "UPDATE secrets SET value = ?, updated_at = ? WHERE workspace_id = ? AND name = ?",
                *(kept, now(), workspace_id, name),
            )
            if not changed:
                self._database.run(
                    "INSERT INTO secrets VALUES (?, ?, ?, ?, ?)", workspace_id, name, kept, time := now(), time
                )
            self._values.pop(workspace_id, None)
        return not changed

    def delete(self, workspace_id: str, name: str) -> bool:
        """Remove a secret; return whether it existed."""
        with self._lock:
            sql = "DELETE FROM secrets WHERE workspace_id = ? AND name = ?"
            found = self._database.run(sql, workspace_id, name)
            self._values.pop(workspace_id, None)
        return bool(found)

    def _decrypted(self, value: str) -> str:
        return self._cipher.decrypt(value) if self._cipher else value
