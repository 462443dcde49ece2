"""What `tb_secret` returns: a secret's value from a folder, the catalog, or the environment."""

from __future__ import annotations

from collections.abc import Mapping

from clickpipe.catalog.registry import DEFAULT_WORKSPACE, Registry
from clickpipe.catalog.secrets import SecretStore
from clickpipe.config import environment_secret


class SecretValues:
    """The secrets of all workspaces, by name. Methods may be called from any thread."""

    def __init__(self, stored: SecretStore, workspaces: Registry, *, environment_for_all: bool) -> None:
        """Read `stored` first, then the environment: for the default workspace only, unless it is `for_all`."""
        self._stored = stored
        self._workspaces = workspaces
        self._environment_for_all = environment_for_all
        self._local: dict[str, Mapping[str, str]] = {}

    def local(self, workspace_id: str) -> Mapping[str, str]:
        """Return the secrets of the folder that a workspace is developed in."""
        return self._local.get(workspace_id, {})

    def set_local(self, workspace_id: str, values: Mapping[str, str]) -> None:
        """Set the secrets of the folder that a workspace is developed in; they come before all others."""
        self._local[workspace_id] = values

    def value(self, workspace_id: str, name: str) -> str | None:
        """Return a secret's value, or None. A preview falls back to the workspace that it was made from.

        Raises ClickpipeError if it was encrypted with another key.
        """
        if name in (local := self.local(workspace_id)):
            return local[name]
        found = self._stored.value(workspace_id, name)
        record = self._workspaces.record(workspace_id)
        if found is not None or record is None:
            return found
        if record.parent:
            return self.value(record.parent, name)
        own = self._environment_for_all or record.name == DEFAULT_WORKSPACE
        return environment_secret(name) if own else None
