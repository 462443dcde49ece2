"""The catalog: one SQLite file next to the data, which owns all metadata.

Every change is one transaction. Calls take a lock, are short, and may come from any thread.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from clickpipe.catalog.backfills import BackfillStore
from clickpipe.catalog.database import Database
from clickpipe.catalog.imported_files import FileLedger
from clickpipe.catalog.jobs import JobStore
from clickpipe.catalog.model import Deployment, DeploymentStatus, Physical, Workspace
from clickpipe.catalog.positions import PositionStore
from clickpipe.catalog.secrets import SecretStore
from clickpipe.catalog.shown import without_physical_names
from clickpipe.catalog.stopped import StoppedSources
from clickpipe.catalog.times import now
from clickpipe.catalog.tokens import TokenStore
from clickpipe.compiler import ResultColumn
from clickpipe.config import Cipher


class Catalog(Database):
    """All metadata of one server."""

    def __init__(self, path: Path | None, cipher: Cipher | None = None) -> None:
        """Open the file (None: in memory) and bring its schema up to date; `cipher` encrypts secret values.

        Raises ClickpipeError if they were encrypted with another key.
        """
        super().__init__(path)
        self.secrets = SecretStore(self, cipher)
        self.tokens = TokenStore(self, cipher)
        self.jobs = JobStore(self, cipher)
        self.backfills = BackfillStore(self)
        self.positions = PositionStore(self)
        self.files = FileLedger(self)
        self.stopped = StoppedSources(self)

    # Workspaces

    def workspaces(self) -> list[Workspace]:
        """Return all workspaces, oldest first."""
        sql = "SELECT id, name, created_at, parent, expires_at FROM workspaces ORDER BY created_at"
        return [Workspace(**{**row, "name": row["name"].rpartition("/")[2]}) for row in self.rows(sql)]

    def create_workspace(self, name: str, *, parent: str = "", expires_at: float = 0.0) -> Workspace:
        """Add a workspace; a preview's name only has to be unique within its parent.

        Raises sqlite3.IntegrityError if the name is taken.
        """
        kept = f"{parent}/{name}" if parent else name
        workspace = Workspace(uuid.uuid4().hex[:16], name, now(), parent, expires_at)
        with self.transaction():
            self.count_up()
            self.run(
                "INSERT INTO workspaces (id, name, created_at, parent, expires_at) VALUES (?, ?, ?, ?, ?)",
                *(workspace.id, kept, workspace.created_at, parent, expires_at),
            )
        return workspace

    def set_expiry(self, workspace_id: str, expires_at: float) -> None:
        """Set when a workspace is removed (Unix time in seconds; 0: never)."""
        self.run("UPDATE workspaces SET expires_at = ? WHERE id = ?", expires_at, workspace_id)

    def delete_workspace(self, workspace_id: str) -> None:
        """Delete a workspace with all its metadata; it is listed in `removing` until its data is gone too."""
        with self.transaction():
            self.count_up()
            self.run("DELETE FROM workspaces WHERE id = ?", workspace_id)
            self.run("INSERT OR IGNORE INTO removing VALUES (?)", workspace_id)

    def removing(self) -> list[Workspace]:
        """Return deleted workspaces whose data may still exist; their names are no longer known."""
        return [Workspace(row["workspace_id"], "", "") for row in self.rows("SELECT * FROM removing")]

    def removed(self, workspace_id: str) -> None:
        """Record that the data of a deleted workspace is gone."""
        self.run("DELETE FROM removing WHERE workspace_id = ?", workspace_id)

    # Deployments

    def deployments(self, workspace_id: str) -> list[Deployment]:
        """Return the deployments of a workspace, oldest first."""
        rows = self.rows("SELECT * FROM deployments WHERE workspace_id = ? ORDER BY id", workspace_id)
        return [_deployment(row) for row in rows]

    def listed_deployments(self, workspace_id: str) -> list[tuple[dict[str, Any], bool]]:
        """Return what lists say of a workspace's deployments, oldest first, and whether each is kept for a while.

        Their files, which may be many, are not read.
        """
        sql = (
            "SELECT id, status, live, created_at, json_extract(summary, '$.kept_until') AS until "
            "FROM deployments WHERE workspace_id = ? ORDER BY id"
        )
        keys = ("id", "status", "live", "created_at")
        listed = [(dict(zip(keys, row, strict=False)), bool(row["until"])) for row in self.rows(sql, workspace_id)]
        return [({**own, "id": str(own["id"]), "live": bool(own["live"])}, kept) for own, kept in listed]

    def deployment(self, workspace_id: str, number: int) -> Deployment | None:
        """Return one deployment, or None."""
        rows = self.rows("SELECT * FROM deployments WHERE workspace_id = ? AND id = ?", workspace_id, number)
        return _deployment(rows[0]) if rows else None

    def live_deployment(self, workspace_id: str) -> Deployment | None:
        """Return the live deployment, or None before the first."""
        rows = self.rows("SELECT * FROM deployments WHERE workspace_id = ? AND live = 1", workspace_id)
        return _deployment(rows[0]) if rows else None

    def deployed_at(self, workspace_id: str) -> str:
        """Return when the live deployment was created; '' before the first."""
        rows = self.rows("SELECT created_at FROM deployments WHERE workspace_id = ? AND live = 1", workspace_id)
        return str(rows[0][0]) if rows else ""

    def create_deployment(
        self,
        workspace_id: str,
        files: Mapping[str, str],
        columns: Mapping[str, Sequence[ResultColumn]],
        summary: Mapping[str, Any],
        physical: Physical,
    ) -> Deployment:
        """Add a deployment that is not live yet."""
        with self.transaction():
            last = self.rows("SELECT max(id) FROM deployments WHERE workspace_id = ?", workspace_id)[0][0]
            number = int(last or 0) + 1
            written = {name: [asdict(c) for c in found] for name, found in columns.items()}
            self.run(
                "INSERT INTO deployments VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?)",
                workspace_id,
                number,
                DeploymentStatus.CALCULATING.value,
                now(),
                json.dumps(dict(files)),
                json.dumps(written),
                json.dumps(dict(summary)),
                json.dumps(asdict(physical)),
            )
        found = self.deployment(workspace_id, number)
        assert found is not None  # noqa: S101 - inserted above
        return found

    def set_status(self, workspace_id: str, number: int, status: DeploymentStatus, error: str = "") -> None:
        """Record a deployment's status; `error` is added to the errors in its summary."""
        with self.transaction():
            rows = self.rows("SELECT summary FROM deployments WHERE workspace_id = ? AND id = ?", workspace_id, number)
            summary = json.loads(rows[0][0])
            if error:
                summary.setdefault("errors", []).append({"filename": "", "error": without_physical_names(error)})
            self.run(
                "UPDATE deployments SET status = ?, summary = ? WHERE workspace_id = ? AND id = ?",
                status.value,
                json.dumps(summary),
                workspace_id,
                number,
            )

    def set_outdated(self, workspace_id: str, number: int, data_source: str) -> None:
        """Mark a standby deployment outdated: rows of a data source were replaced or deleted in the live one."""
        with self.transaction():
            summary = self._summary(workspace_id, number)
            summary["outdated"] = sorted({*summary.get("outdated", []), data_source})
            self._set_summary(workspace_id, number, summary)

    def set_severed(self, workspace_id: str, number: int, reason: str) -> None:
        """Record that a standby deployment gets no more rows, and why."""
        with self.transaction():
            severed = {"severed": without_physical_names(reason)}
            self._set_summary(workspace_id, number, self._summary(workspace_id, number) | severed)

    def keep_until(self, workspace_id: str, number: int, until: float) -> None:
        """Record until when a deployment is kept (Unix time in seconds; 0: until it is discarded)."""
        with self.transaction():
            summary = self._summary(workspace_id, number)
            summary["kept_until"] = until
            for lacks in ("outdated", "severed"):
                summary.pop(lacks, None)  # it was live until now, so it has everything
            self._set_summary(workspace_id, number, summary)

    def _summary(self, workspace_id: str, number: int) -> dict[str, Any]:
        rows = self.rows("SELECT summary FROM deployments WHERE workspace_id = ? AND id = ?", workspace_id, number)
        found: dict[str, Any] = json.loads(rows[0][0])
        return found

    def _set_summary(self, workspace_id: str, number: int, summary: Mapping[str, Any]) -> None:
        self.run(
            "UPDATE deployments SET summary = ? WHERE workspace_id = ? AND id = ?",
            *(json.dumps(dict(summary)), workspace_id, number),
        )

    def promote(self, workspace_id: str, number: int, *, keep: bool = False) -> None:
        """Make a deployment live in one transaction; the previous one is marked deleted unless `keep`."""
        status = DeploymentStatus.DATA_READY if keep else DeploymentStatus.DELETED
        with self.transaction():
            self.count_up()
            self.run(
                "UPDATE deployments SET live = 0, status = ? WHERE workspace_id = ? AND live = 1",
                status.value,
                workspace_id,
            )
            self.run(
                "UPDATE deployments SET live = 1, status = ? WHERE workspace_id = ? AND id = ?",
                DeploymentStatus.DATA_READY.value,
                workspace_id,
                number,
            )

    # Schedules

    def paused(self, workspace_id: str) -> frozenset[str]:
        """Return the names of copy pipes with a paused schedule."""
        found = self.rows("SELECT pipe FROM paused WHERE workspace_id = ?", workspace_id)
        return frozenset(row["pipe"] for row in found)

    def set_paused(self, workspace_id: str, pipe: str, *, paused: bool) -> None:
        """Pause or resume the schedule of a copy pipe."""
        if paused:
            self.run("INSERT OR IGNORE INTO paused VALUES (?, ?)", workspace_id, pipe)
        else:
            self.run("DELETE FROM paused WHERE workspace_id = ? AND pipe = ?", workspace_id, pipe)

    # Retention

    def forget(self, days: int) -> None:
        """Remove jobs that ended more than `days` ago, and older deployments that failed or were deleted."""
        before = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S.%f")
        with self.transaction():
            self.run("DELETE FROM jobs WHERE updated_at < ? AND status IN ('done', 'error', 'cancelled')", before)
            self.run(
                "DELETE FROM deployments WHERE created_at < ? AND live = 0 AND status IN ('failed', 'deleted') "
                "AND id < (SELECT max(id) FROM deployments AS d WHERE d.workspace_id = deployments.workspace_id)",
                before,
            )


def _deployment(row: sqlite3.Row) -> Deployment:
    columns = {name: [ResultColumn(**c) for c in found] for name, found in json.loads(row["columns"]).items()}
    return Deployment(
        row["id"],
        DeploymentStatus(row["status"]),
        bool(row["live"]),
        row["created_at"],
        json.loads(row["files"]),
        columns,
        json.loads(row["summary"]),
        Physical((physical := json.loads(row["physical"]))["tables"], tuple(physical["objects"])),
    )
