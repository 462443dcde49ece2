"""The catalog's schema as a series of steps. Never edit a released step: add a new one."""

from __future__ import annotations

import sqlite3

from clickpipe.diagnostics import ClickpipeError

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE workspaces (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        created_at TEXT NOT NULL
    ) STRICT;
    CREATE TABLE deployments (
        workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
        id INTEGER NOT NULL,
        status TEXT NOT NULL,
        live INTEGER NOT NULL DEFAULT 0,
        created_at TEXT NOT NULL,
        files TEXT NOT NULL,
        columns TEXT NOT NULL,
        summary TEXT NOT NULL,
        physical TEXT NOT NULL,
        PRIMARY KEY (workspace_id, id)
    ) STRICT;
    CREATE UNIQUE INDEX one_live_deployment ON deployments (workspace_id) WHERE live = 1;
    CREATE TABLE tokens (
        id TEXT PRIMARY KEY,
        workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        value TEXT NOT NULL UNIQUE,
        scopes TEXT NOT NULL,
        origin TEXT NOT NULL,
        created_at TEXT NOT NULL,
        UNIQUE (workspace_id, name)
    ) STRICT;
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY,
        workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
        kind TEXT NOT NULL,
        status TEXT NOT NULL,
        resource TEXT NOT NULL,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        error TEXT NOT NULL DEFAULT '',
        result TEXT NOT NULL DEFAULT '{}'
    ) STRICT;
    CREATE INDEX jobs_by_time ON jobs (workspace_id, created_at);
    """,
    """
    ALTER TABLE tokens ADD COLUMN details TEXT NOT NULL DEFAULT '{}';
    CREATE TABLE revoked (
        digest TEXT PRIMARY KEY,
        workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
        expires_at REAL NOT NULL
    ) STRICT;
    """,
    """
    CREATE TABLE secrets (
        workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        PRIMARY KEY (workspace_id, name)
    ) STRICT;
    """,
    """
    ALTER TABLE jobs ADD COLUMN parameters TEXT NOT NULL DEFAULT '{}';
    CREATE TABLE paused (
        workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
        pipe TEXT NOT NULL,
        PRIMARY KEY (workspace_id, pipe)
    ) STRICT;
    """,
    """
    CREATE TABLE backfills (
        workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
        deployment INTEGER NOT NULL,
        work TEXT NOT NULL,
        done TEXT NOT NULL,
        PRIMARY KEY (workspace_id, deployment)
    ) STRICT;
    """,
    """
    ALTER TABLE workspaces ADD COLUMN parent TEXT NOT NULL DEFAULT '';
    ALTER TABLE workspaces ADD COLUMN expires_at REAL NOT NULL DEFAULT 0;
    """,
    """
    CREATE TABLE generation (number INTEGER NOT NULL) STRICT;
    INSERT INTO generation VALUES (1);
    """,
    """
    ALTER TABLE jobs ADD COLUMN maker TEXT NOT NULL DEFAULT '';
    """,
    """
    CREATE TABLE positions (
        workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
        data_source TEXT NOT NULL,
        source TEXT NOT NULL,
        part TEXT NOT NULL,
        next INTEGER NOT NULL,
        PRIMARY KEY (workspace_id, data_source, source, part)
    ) STRICT;
    """,
    """
    CREATE TABLE removing (workspace_id TEXT NOT NULL PRIMARY KEY) STRICT;
    """,
    """
    UPDATE workspaces SET name = parent || '/' || name WHERE parent != '';
    """,
    """
    CREATE TABLE imported_files (
        workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
        data_source TEXT NOT NULL,
        bucket TEXT NOT NULL,
        key TEXT NOT NULL,
        version TEXT NOT NULL,
        state TEXT NOT NULL,
        progress TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        PRIMARY KEY (workspace_id, data_source, bucket, key, version)
    ) STRICT;
    """,
    """
    CREATE TABLE stopped (
        workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
        data_source TEXT NOT NULL,
        PRIMARY KEY (workspace_id, data_source)
    ) STRICT;
    """,
)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema to the newest version, each step in a transaction.

    Raises ClickpipeError if the file was written by a newer clickpipe.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        message = f"The catalog has version {version}, this clickpipe knows {len(MIGRATIONS)}: use a newer clickpipe."
        raise ClickpipeError(message, status=503, code="catalog_newer")
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")
