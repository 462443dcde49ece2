"""The catalog: one SQLite file beside the data, the owner of all metadata.

Every change is one transaction. Calls take a lock and are short; they may come from any thread.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from clickpipe.catalog.backfills import BackfillStore
from clickpipe.catalog.database import Database
from clickpipe.catalog.model import Deployment, DeploymentStatus, Job, Physical, Token, Workspace
from clickpipe.catalog.secrets import SecretStore
from clickpipe.catalog.times import now
from clickpipe.compiler import ResultColumn
from clickpipe.config import Cipher, is_encrypted
from clickpipe.diagnostics import ClickpipeError


class Catalog(Database):
    """All metadata of one server."""

    def __init__(self, path: Path | None, cipher: Cipher | None = None) -> None:
        """Open the file (None: in memory) and bring its schema up to date; `cipher` encrypts tokens' values in it.

        Raises ClickpipeError when they were encrypted with another key.
        """
        super().__init__(path)
        self._cipher = cipher
        self.secrets = SecretStore(self, cipher)
        self.backfills = BackfillStore(self)
        self._encrypt_all()

    # Workspaces

    def workspaces(self) -> list[Workspace]:
        """Return all workspaces, oldest first."""
        sql = "SELECT id, name, created_at, parent, expires_at FROM workspaces ORDER BY created_at"
        return [Workspace(**row) for row in self.rows(sql)]

    def create_workspace(self, name: str, *, parent: str = "", expires_at: float = 0.0) -> Workspace:
        """Add a workspace. Raises sqlite3.IntegrityError when the name is taken."""
        workspace = Workspace(uuid.uuid4().hex[:16], name, now(), parent, expires_at)
        with self.transaction():
            self.count_up()
            self.run(
                "INSERT INTO workspaces (id, name, created_at, parent, expires_at) VALUES (?, ?, ?, ?, ?)",
                *(workspace.id, name, workspace.created_at, parent, expires_at),
            )
        return workspace

    def set_expiry(self, workspace_id: str, expires_at: float) -> None:
        """Set when a workspace is removed (seconds since 1970; 0: never)."""
        self.run("UPDATE workspaces SET expires_at = ? WHERE id = ?", expires_at, workspace_id)

    def delete_workspace(self, workspace_id: str) -> None:
        """Remove a workspace with all its metadata."""
        with self.transaction():
            self.count_up()
            self.run("DELETE FROM workspaces WHERE id = ?", workspace_id)

    # Deployments

    def deployments(self, workspace_id: str) -> list[Deployment]:
        """Return the deployments of a workspace, oldest first."""
        rows = self.rows("SELECT * FROM deployments WHERE workspace_id = ? ORDER BY id", workspace_id)
        return [_deployment(row) for row in rows]

    def deployment(self, workspace_id: str, number: int) -> Deployment | None:
        """Return one deployment, or None."""
        rows = self.rows("SELECT * FROM deployments WHERE workspace_id = ? AND id = ?", workspace_id, number)
        return _deployment(rows[0]) if rows else None

    def live_deployment(self, workspace_id: str) -> Deployment | None:
        """Return the live deployment, or None before the first."""
        rows = self.rows("SELECT * FROM deployments WHERE workspace_id = ? AND live = 1", workspace_id)
        return _deployment(rows[0]) if rows else None

    def create_deployment(
        self,
        workspace_id: str,
        files: Mapping[str, str],
        columns: Mapping[str, Sequence[ResultColumn]],
        summary: Mapping[str, Any],
        physical: Physical,
    ) -> Deployment:
        """Add a deployment that is being prepared; it is not live."""
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
        """Record how far a deployment is; `error` joins the errors of its summary."""
        with self.transaction():
            rows = self.rows("SELECT summary FROM deployments WHERE workspace_id = ? AND id = ?", workspace_id, number)
            summary = json.loads(rows[0][0])
            if error:
                summary.setdefault("errors", []).append({"filename": "", "error": error})
            self.run(
                "UPDATE deployments SET status = ?, summary = ? WHERE workspace_id = ? AND id = ?",
                status.value,
                json.dumps(summary),
                workspace_id,
                number,
            )

    def set_outdated(self, workspace_id: str, number: int, data_source: str) -> None:
        """Record that a deployment beside the live one lacks what was done to rows of the live one's data source."""
        with self.transaction():
            summary = self._summary(workspace_id, number)
            summary["outdated"] = sorted({*summary.get("outdated", []), data_source})
            self._set_summary(workspace_id, number, summary)

    def set_severed(self, workspace_id: str, number: int, reason: str) -> None:
        """Record that a deployment beside the live one gets no more rows, and why."""
        with self.transaction():
            self._set_summary(workspace_id, number, {**self._summary(workspace_id, number), "severed": reason})

    def keep_until(self, workspace_id: str, number: int, until: float) -> None:
        """Record until when (seconds since 1970; 0: as long as nobody discards it) a deployment is kept."""
        with self.transaction():
            summary = self._summary(workspace_id, number)
            summary["kept_until"] = until
            for lacks in ("outdated", "severed"):
                summary.pop(lacks, None)  # it has all that was live until now
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
        """Make a deployment the live one, in one transaction; the one before is deleted, unless it is kept."""
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

    # Tokens

    def _encrypt_all(self) -> None:
        """Encrypt values that lie open, as they do from before there was a key."""
        for token in self.tokens():
            if self._cipher is not None:
                value = self.rows("SELECT value FROM tokens WHERE id = ?", token.id)[0]["value"]
                if not is_encrypted(value):
                    self.set_token_value(token.id, value)

    def _kept(self, value: str) -> str:
        return self._cipher.encrypt(value) if self._cipher is not None else value

    def _token(self, row: sqlite3.Row) -> Token:
        fields = dict(row)
        details = json.loads(fields.pop("details"))
        value = fields["value"]
        if self._cipher is not None:
            value = self._cipher.decrypt(value)
        elif is_encrypted(value):
            message = "The tokens of this data folder are encrypted, and there is no key: set encryption_key."
            raise ClickpipeError(message, code="wrong_key")
        return Token(**{**fields, **details, "value": value, "scopes": tuple(json.loads(row["scopes"]))})

    def tokens(self, workspace_id: str | None = None) -> list[Token]:
        """Return the tokens of a workspace (None: of all), oldest first."""
        if workspace_id is None:
            return [self._token(r) for r in self.rows("SELECT * FROM tokens ORDER BY created_at")]
        return [
            self._token(r)
            for r in self.rows("SELECT * FROM tokens WHERE workspace_id = ? ORDER BY created_at", workspace_id)
        ]

    def put_token(
        self,
        workspace_id: str,
        name: str,
        scopes: Sequence[str],
        *,
        origin: str,
        value: str | None = None,
        filters: Mapping[str, str] | None = None,
        fixed_params: Mapping[str, Mapping[str, str | list[str]]] | None = None,
        limits: Mapping[str, int] | None = None,
        expires_at: float | None = None,
    ) -> Token:
        """Add a token or set what the one with this name may do; value, limits and life stay unless they are given."""
        found = next((t for t in self.tokens(workspace_id) if t.name == name), None)
        granted = json.dumps(list(scopes))
        if found is not None:
            limits = found.limits if limits is None else limits
            expires_at = found.expires_at if expires_at is None else expires_at
        more = {"filters": filters, "fixed_params": fixed_params, "limits": limits, "expires_at": expires_at}
        details = json.dumps({key: one for key, one in more.items() if one})
        kept = self._kept(value or (found.value if found else new_token_value()))
        if found is None:
            token_id = str(uuid.uuid4())
            self.run(
                "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                *(
                    token_id,
                    workspace_id,
                    name,
                    self._kept(value or new_token_value()),
                    granted,
                    origin,
                    now(),
                    details,
                ),
            )
        else:
            token_id = found.id
            self.run(
                "UPDATE tokens SET scopes = ?, value = ?, details = ? WHERE id = ?",
                *(granted, kept, details, token_id),
            )
        return self._token(self.rows("SELECT * FROM tokens WHERE id = ?", token_id)[0])

    def set_token_value(self, token_id: str, value: str) -> None:
        """Give a token another value; requests that carry the one before are refused from now on."""
        self.run("UPDATE tokens SET value = ? WHERE id = ?", self._kept(value), token_id)

    def revoke(self, workspace_id: str, digest: str, expires_at: float) -> None:
        """Refuse a signed token, by its digest, as long as it would be valid; forget those that are not any more."""
        self.run("DELETE FROM revoked WHERE expires_at < ?", time.time())
        self.run("INSERT OR REPLACE INTO revoked VALUES (?, ?, ?)", digest, workspace_id, expires_at)

    def revoked(self) -> frozenset[str]:
        """Return the digests of signed tokens that are refused."""
        return frozenset(row["digest"] for row in self.rows("SELECT digest FROM revoked"))

    def delete_token(self, token_id: str) -> None:
        """Remove a token; requests that carry it are refused from now on."""
        self.run("DELETE FROM tokens WHERE id = ?", token_id)

    # Schedules

    def paused(self, workspace_id: str) -> frozenset[str]:
        """Return the names of the copy pipes whose schedule is paused."""
        found = self.rows("SELECT pipe FROM paused WHERE workspace_id = ?", workspace_id)
        return frozenset(row["pipe"] for row in found)

    def set_paused(self, workspace_id: str, pipe: str, *, paused: bool) -> None:
        """Pause the schedule of a copy pipe, or go on with it."""
        if paused:
            self.run("INSERT OR IGNORE INTO paused VALUES (?, ?)", workspace_id, pipe)
        else:
            self.run("DELETE FROM paused WHERE workspace_id = ? AND pipe = ?", workspace_id, pipe)

    # Jobs

    def create_job(
        self, workspace_id: str, kind: str, resource: str, parameters: Mapping[str, Any] | None = None
    ) -> Job:
        """Add a job that waits."""
        job = Job(str(uuid.uuid4()), workspace_id, kind, "waiting", resource, now(), now(), parameters=parameters or {})
        self.run(
            "INSERT INTO jobs (id, workspace_id, kind, status, resource, created_at, updated_at, parameters) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            *(job.id, workspace_id, kind, job.status, resource, job.created_at, job.updated_at),
            json.dumps(dict(job.parameters)),
        )
        return job

    def update_job(
        self, job_id: str, status: str, *, error: str = "", result: Mapping[str, Any] | None = None, only: str = ""
    ) -> None:
        """Record how far a job is; without `result` that stays. `only`: nothing is done for another status."""
        kept = None if result is None else json.dumps(dict(result))
        self.run(
            "UPDATE jobs SET status = ?, error = ?, result = coalesce(?, result), updated_at = ? "
            "WHERE id = ? AND (? = '' OR status = ?)",
            *(status, error, kept, now(), job_id, only, only),
        )

    def job(self, workspace_id: str, job_id: str) -> Job | None:
        """Return one job, or None."""
        rows = self.rows("SELECT * FROM jobs WHERE workspace_id = ? AND id = ?", workspace_id, job_id)
        return _job(rows[0]) if rows else None

    def jobs(self, workspace_id: str, limit: int = 100) -> list[Job]:
        """Return the newest jobs first."""
        rows = self.rows(
            "SELECT * FROM jobs WHERE workspace_id = ? ORDER BY created_at DESC LIMIT ?", workspace_id, limit
        )
        return [_job(row) for row in rows]

    def unfinished_jobs(self) -> list[Job]:
        """Return the jobs of all workspaces that wait or run, oldest first."""
        sql = "SELECT * FROM jobs WHERE status IN ('waiting', 'working', 'cancelling') ORDER BY created_at"
        return [_job(row) for row in self.rows(sql)]

    def forget(self, days: int) -> None:
        """Remove jobs that ended, and deployments that were gone, more than some days ago."""
        before = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S.%f")
        with self.transaction():
            self.run("DELETE FROM jobs WHERE updated_at < ? AND status IN ('done', 'error', 'cancelled')", before)
            self.run(
                "DELETE FROM deployments WHERE created_at < ? AND live = 0 AND status IN ('failed', 'deleted') "
                "AND id < (SELECT max(id) FROM deployments AS d WHERE d.workspace_id = deployments.workspace_id)",
                before,
            )

    def deployed_at(self, workspace_id: str) -> str:
        """Return when the live deployment was made; '' before the first."""
        rows = self.rows("SELECT created_at FROM deployments WHERE workspace_id = ? AND live = 1", workspace_id)
        return str(rows[0][0]) if rows else ""

    def fail_unfinished_jobs(self) -> None:
        """Mark jobs that a stopped server left behind as failed."""
        self.run(
            "UPDATE jobs SET status = 'error', error = 'the server stopped before the job ended', updated_at = ? "
            "WHERE status IN ('waiting', 'working', 'cancelling')",
            now(),
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


def new_token_value() -> str:
    """Return a value that nobody guesses: 48 random bytes."""
    return f"p.e{secrets.token_urlsafe(48)}"


def _job(row: sqlite3.Row) -> Job:
    return Job(**{**dict(row), "result": json.loads(row["result"]), "parameters": json.loads(row["parameters"])})
