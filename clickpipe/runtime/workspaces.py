"""Creates, finds and removes an instance's workspaces, and previews: temporary clones of a workspace."""

from __future__ import annotations

import logging
import re
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial

from clickpipe.auth import ensure_admin_token, keep_local_token
from clickpipe.catalog import DEFAULT_WORKSPACE, Job, Live, Token
from clickpipe.deploy import Rows
from clickpipe.diagnostics import ClickpipeError, did_you_mean
from clickpipe.ingest import drop_leftovers
from clickpipe.jobs import drop_exports
from clickpipe.runtime.removals import Removals
from clickpipe.runtime.services import Services
from clickpipe.runtime.workspace import Workspace

_LOGGER = logging.getLogger(__name__)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


class Workspaces:
    """All workspaces of a running instance. Methods may be called from any thread."""

    def __init__(self, services: Services) -> None:
        """Start empty; `restore` loads the workspaces."""
        self._services = services
        self._by_id: dict[str, Workspace] = {}
        self._expiring: set[str] = set()
        self.removals = Removals()

    def restore(self, *, alone: bool) -> bool:
        """Load all workspaces, or create the default one; return whether there were none.

        `alone` means that nobody else has databases in the engine; an engine in memory is shared within the process.
        """
        services = self._services
        found = services.catalog.workspaces()
        if alone and not found and self._databases():
            message = (
                "The catalog knows of no workspace, and there are tables: they would be removed, so clickpipe does not "
                "start. Restore catalog.sqlite together with catalog.sqlite-wal."
            )
            raise ClickpipeError(message, status=503, code="catalog_outdated")
        for record in found:
            self._by_id[record.id] = Workspace(services, record)
            self._keep_local_token(record.id)
        if alone:
            self._remove_rest()
        if not found:
            self.create(DEFAULT_WORKSPACE)
        return not found

    def _remove_rest(self) -> None:
        """Finish removing workspaces and end deletions that a stop interrupted; log databases that belong to nobody.

        Nothing else is dropped: an unknown database may belong to a newer catalog, or to another server.
        """
        self._services.engine.storage.end_deletions(prefix="ws_")  # their jobs start over, with a time limit
        for record in self._services.catalog.removing():
            self._drop(record.id, record.database)
        drop_exports(self._services.engine, {workspace.id for workspace in self})
        own = {workspace.database for workspace in self}
        for name in self._databases():
            if name.removesuffix("_service") not in own:
                _LOGGER.warning("the database %s is of no workspace that the catalog knows: it is left as it is", name)

    def _drop(self, workspace_id: str, database: str) -> None:
        services = self._services
        drop_leftovers(services.engine, workspace_id)
        drop_exports(services.engine, {workspace_id})
        services.engine.storage.drop_database(database)
        services.service_log.remove(database)
        services.catalog.removed(workspace_id)

    def _databases(self) -> list[str]:
        return self._services.engine.storage.databases("^ws_[0-9a-f]{16}(_service)?$")

    def __iter__(self) -> Iterator[Workspace]:
        """Iterate over a snapshot of all workspaces."""
        return iter(list(self._by_id.values()))

    def get(self, workspace_id: str) -> Workspace | None:
        """Return a workspace by id, or None."""
        return self._by_id.get(workspace_id)

    def go_on(self) -> None:
        """After a start, resume the deployments and jobs that a stop interrupted."""
        for workspace in self:
            workspace.deployments.go_on()
        for job in self._services.jobs.unfinished:
            if (found := self.get(job.workspace_id)) is not None:
                found.jobs.take_up(job)

    def stop(self) -> None:
        """Ask deployments that copy rows to end; they are resumed after the next start."""
        for workspace in self:
            workspace.deployments.stop()

    def scheduled(self) -> dict[str, Live]:
        """Return the live deployments that have schedules: not previews, which copy only on demand."""
        return self._services.registry.all_live(previews=False)

    def start_due(self, workspace_id: str, name: str) -> Job | None:
        """Start a copy or a sink that is due; return None if it should not. Raises KeyError, ClickpipeError."""
        return self.find(workspace_id).start_due(name)

    @property
    def default(self) -> Workspace:
        """Return the workspace that the first start created."""
        return next(w for w in self if w.name == DEFAULT_WORKSPACE and not w.parent)

    def find(self, workspace_id: str) -> Workspace:
        """Return a workspace by id. Raises KeyError."""
        return self._by_id[workspace_id]

    def named(self, name: str) -> Workspace:
        """Return a workspace by name or id, or a preview by name if it is unique.

        Raises ClickpipeError: 404 if there is none, 409 if several previews have that name.
        """
        named = [w for w in self if w.name == name]
        found = self._by_id.get(name) or next((w for w in named if not w.parent), None)
        if found is None and len(named) > 1:
            message = f"{len(named)} workspaces have a preview '{name}': name it by its id."
            raise ClickpipeError(message, status=409, code="ambiguous")
        found = found or next(iter(named), None)
        if found is None:
            hint = did_you_mean(name, [w.name for w in self])
            message = f"There is no workspace '{name}'" + (f": {hint}" if hint else "")
            raise ClickpipeError(message, status=404, code="not_found")
        return found

    def admin_token(self, workspace: Workspace) -> Token:
        """Return a workspace's admin token."""
        return ensure_admin_token(self._services.catalog, workspace.id)

    def create(self, name: str, *, parent: str = "", seconds: float = 0.0) -> Workspace:
        """Create a workspace with an admin token; it is removed after `seconds` (0: never).

        Raises ClickpipeError: 400 for an invalid name, 409 if the name is taken by another workspace or, for a preview,
        by another preview of its parent.
        """
        self.require_name(name)
        self.require_free(name, parent)
        try:
            made = self._services.catalog.create_workspace(
                name, parent=parent, expires_at=time.time() + seconds if seconds else 0.0
            )
        except sqlite3.IntegrityError:
            raise _taken(name) from None
        ensure_admin_token(self._services.catalog, made.id)
        self._keep_local_token(made.id)
        workspace = self._by_id[made.id] = Workspace(self._services, made)
        self._services.tokens.refresh()
        return workspace

    def keep_local_tokens(self) -> None:
        """If `local_tokens` is on, make sure that the admin tokens exist which local clients look for by name."""
        for workspace in self:
            self._keep_local_token(workspace.id)
        self._services.tokens.refresh()

    def _keep_local_token(self, workspace_id: str) -> None:
        wanted = self._services.settings.local_tokens == "on"
        keep_local_token(self._services.catalog, workspace_id, wanted=wanted)

    @property
    def organization_id(self) -> str:
        """Return the id of the one organization of all workspaces, for clients that ask for it."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, self.default.id))

    def require_name(self, name: str) -> None:
        """Raise ClickpipeError 400 for an invalid name, such as a workspace's id."""
        if not _NAME.fullmatch(name) or name in self._by_id:
            message = f"'{name[:100]}' cannot be a workspace's name: letters, digits, '_', '-' and '.' can; no id can."
            raise ClickpipeError(message, code="bad_name")

    def require_free(self, name: str, parent: str) -> None:
        """Raise ClickpipeError 409 if `parent` cannot have one more preview, or none of this name.

        Taken are the parent's name, its other previews' names and the default workspace's name; other workspaces' are
        not.
        """
        own, most = self._by_id.get(parent), self._services.settings.previews
        names = {w.name for w in self.previews(own)} if own else set()
        if parent and (name == DEFAULT_WORKSPACE or (own and name in {own.name, *names})):
            raise _taken(name)
        if most and len(names) >= most:
            message = f"The workspace has {len(names)} previews, and may have {most}: remove one first."
            raise ClickpipeError(message, status=409, code="too_many_previews")

    def preview(self, parent: Workspace, name: str, rows: Rows) -> Workspace:
        """Create a preview: a clone of a workspace with its project, its rows (as shared files) and its secrets.

        Later writes to either do not affect the other. Raises ClickpipeError as `create` does, and EngineError.
        """
        made = self.create(name, parent=parent.id, seconds=self._services.settings.preview_seconds)
        try:
            made.deployments.clone(parent.deployments, rows)
        except BaseException:
            self.delete(made)
            raise
        return made

    def previews(self, parent: Workspace) -> list[Workspace]:
        """Return the previews of a workspace, oldest first."""
        return [w for w in self if w.parent == parent.id]

    def delete(self, workspace: Workspace) -> None:
        """Remove a workspace with its previews, data, metadata and tokens. Raises ClickpipeError for the default."""
        if workspace is self.default:
            message = "The default workspace cannot be removed."
            raise ClickpipeError(message, code="default_workspace")
        services = self._services
        for preview in self.previews(workspace):
            self.delete(preview)
        services.jobs.wait_for_all(workspace.id)
        with workspace.lock.paused():
            services.catalog.delete_workspace(workspace.id)
            services.tokens.refresh()
            self._by_id.pop(workspace.id, None)
            services.registry.remove(workspace.id)
            services.standbys.remove(workspace.id)
        services.ingester.forget(workspace.id)
        self._drop(workspace.id, workspace.database)

    def expire(self, start: Callable[[Callable[[], None]], object] = lambda remove: remove()) -> None:
        """Remove workspaces whose time is over, each through `start`: waiting for inserts to end may take forever."""
        now = time.time()
        for record in self._services.catalog.workspaces():
            found = self._by_id.get(record.id)
            if found is not None and 0 < record.expires_at <= now and found.id not in self._expiring:
                self._expiring.add(found.id)
                start(partial(self._remove, found))

    def _remove(self, workspace: Workspace) -> None:
        try:
            self.delete(workspace)
        finally:
            self._expiring.discard(workspace.id)


def _taken(name: str) -> ClickpipeError:
    return ClickpipeError(f"There is a workspace '{name}' already.", status=409, code="name_taken")
