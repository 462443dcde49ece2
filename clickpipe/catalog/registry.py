"""The workspaces of a running server, and what each answers from: the one place that knows what is live."""

from __future__ import annotations

from dataclasses import dataclass

from clickpipe.catalog.model import Live, Workspace

DEFAULT_WORKSPACE = "default"  # the name of the one that the first start creates


@dataclass(slots=True, eq=False)
class Registered:
    """A workspace and its live deployment: None before the first."""

    record: Workspace
    live: Live | None = None


class Registry:
    """All workspaces by id. Methods may be called from any thread."""

    def __init__(self) -> None:
        """Start empty."""
        self._by_id: dict[str, Registered] = {}

    def add(self, record: Workspace, live: Live | None = None) -> Registered:
        """Add a workspace, and return its entry."""
        entry = self._by_id[record.id] = Registered(record, live)
        return entry

    def remove(self, workspace_id: str) -> None:
        """Forget a workspace. Who holds its entry still sees what was live."""
        self._by_id.pop(workspace_id, None)

    def record(self, workspace_id: str) -> Workspace | None:
        """Return what the catalog says about a workspace, or None."""
        found = self._by_id.get(workspace_id)
        return found.record if found else None

    def live(self, workspace_id: str) -> Live | None:
        """Return a workspace's live deployment; None if it has none or does not exist."""
        found = self._by_id.get(workspace_id)
        return found.live if found else None

    def owner(self, workspace_id: str) -> str:
        """Return the id of a preview's parent, or of the workspace itself."""
        found = self._by_id.get(workspace_id)
        return (found.record.parent if found else "") or workspace_id

    def database(self, workspace_id: str) -> str:
        """Return the database of a workspace; '' if it does not exist."""
        found = self._by_id.get(workspace_id)
        return found.record.database if found else ""

    def all_live(self, *, previews: bool = True) -> dict[str, Live]:
        """Return the live deployments by workspace id, with or without those of previews."""
        entries = list(self._by_id.values())
        return {e.record.id: e.live for e in entries if e.live is not None and (previews or not e.record.parent)}
