"""Jobs of workspaces: what was requested, its progress, how it ended."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Mapping
from typing import Any

from clickpipe.catalog.database import Database
from clickpipe.catalog.model import Job
from clickpipe.catalog.shown import without_physical_names
from clickpipe.catalog.times import now
from clickpipe.config import Cipher

_MOST_MAKERS = 100  # of one job


class JobStore:
    """The jobs of all workspaces. Methods may be called from any thread."""

    def __init__(self, database: Database, cipher: Cipher | None) -> None:
        """Store them in the catalog's file. A cipher encrypts their parameters, as URLs may contain passwords."""
        self._database = database
        self._cipher = cipher

    def create(self, workspace_id: str, kind: str, resource: str, parameters: Mapping[str, Any] | None = None) -> Job:
        """Add a waiting job."""
        job = Job(str(uuid.uuid4()), workspace_id, kind, "waiting", resource, now(), now(), parameters=parameters or {})
        self._database.run(
            "INSERT INTO jobs (id, workspace_id, kind, status, resource, created_at, updated_at, parameters) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            *(job.id, workspace_id, kind, job.status, resource, job.created_at, job.updated_at),
            self._kept(json.dumps(dict(job.parameters))),
        )
        return job

    def update(
        self, job_id: str, status: str, *, error: str = "", result: Mapping[str, Any] | None = None, only: str = ""
    ) -> None:
        """Record a job's status, and `result` if given. With `only`, do nothing unless it has that status.

        Physical names are removed from the error.
        """
        kept = None if result is None else json.dumps(dict(result))
        self._database.run(
            "UPDATE jobs SET status = ?, error = ?, result = coalesce(?, result), updated_at = ? "
            "WHERE id = ? AND (? = '' OR status = ?)",
            *(status, without_physical_names(error), kept, now(), job_id, only, only),
        )

    def give_to(self, job_id: str, maker: str) -> None:
        """Record who asked for a job (`Token.maker`): that token may see it, besides those that may see everything.

        Others who asked for it before, while it ran, go on seeing it; of more than 100, the latest do.
        """
        with self._database.transaction():
            rows = self._database.rows("SELECT maker FROM jobs WHERE id = ?", job_id)
            makers = [one for row in rows for one in row["maker"].split() if one != maker]
            kept = " ".join([*makers[-_MOST_MAKERS + 1 :], maker])
            self._database.run("UPDATE jobs SET maker = ? WHERE id = ?", kept, job_id)

    def get(self, workspace_id: str, job_id: str) -> Job | None:
        """Return one job, or None."""
        rows = self._database.rows("SELECT * FROM jobs WHERE workspace_id = ? AND id = ?", workspace_id, job_id)
        return self._job(rows[0]) if rows else None

    def newest(self, workspace_id: str, limit: int = 100) -> list[Job]:
        """Return a workspace's jobs, newest first."""
        rows = self._database.rows(
            "SELECT * FROM jobs WHERE workspace_id = ? ORDER BY created_at DESC LIMIT ?", workspace_id, limit
        )
        return [self._job(row) for row in rows]

    def unfinished(self) -> list[Job]:
        """Return the waiting and running jobs of all workspaces, oldest first."""
        sql = "SELECT * FROM jobs WHERE status IN ('waiting', 'working', 'cancelling') ORDER BY created_at"
        return [self._job(row) for row in self._database.rows(sql)]

    def fail_unfinished(self) -> None:
        """Mark jobs that a stopped server left behind as failed."""
        self._database.run(
            "UPDATE jobs SET status = 'error', error = 'the server stopped before the job ended', updated_at = ? "
            "WHERE status IN ('waiting', 'working', 'cancelling')",
            now(),
        )

    def _kept(self, parameters: str) -> str:
        return self._cipher.encrypt(parameters) if self._cipher and parameters != "{}" else parameters

    def _job(self, row: sqlite3.Row) -> Job:
        parameters = self._cipher.decrypt(row["parameters"]) if self._cipher else row["parameters"]
        return Job(**{**dict(row), "result": json.loads(row["result"]), "parameters": json.loads(parameters)})
