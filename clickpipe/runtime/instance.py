"""A running clickpipe: one data folder with its engine, catalog, log and workspaces."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Self

from clickpipe.auth import Logins, RateLimit, ensure_admin_token
from clickpipe.catalog import Token
from clickpipe.config import Settings
from clickpipe.connect import Bucket
from clickpipe.query import HeldResults
from clickpipe.runtime.compose import open_app
from clickpipe.runtime.folder import unusable
from clickpipe.runtime.workspace import Workspace


class Instance:
    """Everything in one process. Open it with a folder, or with None to leave nothing behind."""

    def __init__(self, data_dir: Path | None, settings: Settings | None = None) -> None:
        """Open the folder, restore the live deployments, and insert what the write-ahead log still holds.

        `is_new` says afterwards whether this was the folder's first start.

        Raises ClickpipeError if another process has the folder open, or it or the engine cannot be opened.
        """
        settings = settings or Settings()
        try:
            with ExitStack() as opened:  # closed in reverse order, even if the start fails
                app = open_app(data_dir, settings, opened)
                self._opened = opened.pop_all()
        except OSError as error:
            raise unusable(data_dir, error) from error
        self._services = services = app.services
        self.data_dir, self.cipher, self.log = app.folder, app.cipher, app.log
        self.is_new, self.recovered_segments = app.is_new, app.recovered_segments
        self.engine, self.catalog, self.tokens = services.engine, services.catalog, services.tokens
        self.bus, self.registry, self.secrets = services.bus, services.registry, services.secrets
        self.service_log, self.ingestion_log = services.service_log, services.ingestion_log
        self.storage_log, self.query_log, self.metrics = services.storage_log, app.query_log, app.metrics
        self.ingester, self.consumers = services.ingester, app.consumers
        self._buckets = app.buckets
        self.jobs, self.schedule, self.maintenance = services.jobs, app.schedule, app.maintenance
        self.limiter, self.result_cache, self.portal = services.limiter, services.result_cache, services.portal
        self.workspaces, self._health, self._uploads = app.workspaces, app.health, app.uploads
        self.logins = Logins()
        self.held = HeldResults(settings.range_max_bytes, settings.range_seconds)
        self.event_requests = RateLimit("requests for one data source", settings.ingest_requests_per_second)
        self.event_bytes = RateLimit("bytes for one data source", settings.ingest_bytes_per_second)
        self.token_requests = RateLimit("requests with one token", settings.token_requests_per_second)
        self.address_requests = RateLimit("requests from one address", settings.address_requests_per_second)
        self.endpoint_requests = RateLimit("requests of one endpoint", settings.endpoint_requests_per_second)

    @property
    def settings(self) -> Settings:
        """Return the settings."""
        return self._services.settings

    def reading(self, workspace: Workspace) -> dict[str, tuple[str, str]]:
        """Return the state of each data source that reads a topic or a bucket, and the last error ('' if none)."""
        found = {one.data_source: ("watching", "") for one in workspace.data.buckets.all() if isinstance(one, Bucket)}
        for status in self.consumers.statuses():
            if status.workspace == workspace.id:
                found[status.data_source] = (status.state, status.problem)
        problems = {**self.consumers.problems(workspace.id), **self._buckets.problems(workspace.id)}
        found |= {name: ("failing", problem) for name, problem in problems.items()}
        return found | dict.fromkeys(workspace.data.stopped(), ("stopped", ""))

    def not_ready(self) -> str:
        """Return why the server is not ready for requests, or ''."""
        return self._health.not_ready()

    def problems(self) -> list[str]:
        """Return problems to look at although requests are answered. They name nothing, as anybody may ask."""
        return self._health.problems()

    def upload_path(self, name: str) -> Path:
        """Return the path where an uploaded file is kept until its rows are inserted."""
        return self._uploads.path(name)

    @property
    def default(self) -> Workspace:
        """Return the workspace that the first start created."""
        return self.workspaces.default

    def workspace(self, workspace_id: str) -> Workspace:
        """Return a workspace by id. Raises KeyError."""
        return self.workspaces.find(workspace_id)

    def admin_token(self) -> Token:
        """Return the default workspace's admin token; the settings may set its value."""
        token = ensure_admin_token(self.catalog, self.default.id, self.settings.admin_token or None)
        self.tokens.refresh()
        return token

    def stop(self) -> None:
        """Ask deployments and jobs to end soon, as requests may wait for them. `close` waits for them."""
        self.workspaces.stop()
        self.jobs.stop()

    def close(self) -> None:
        """Write what is buffered, finish what runs, and release the folder."""
        self._opened.close()

    def __enter__(self) -> Self:
        """Return the instance."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
