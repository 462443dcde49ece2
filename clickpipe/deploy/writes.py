"""What deployments ask of those who write to the tables."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol


class Events(Protocol):
    """The events on their way into one workspace's tables."""

    def events_paused(self) -> AbstractContextManager[None]:
        """Let inserts of events wait within the block."""
        ...


class Writes(Protocol):
    """All that writes to one workspace's tables."""

    def paused(self) -> AbstractContextManager[None]:
        """Let inserts and copies wait within the block: rows written while tables are replaced would be lost."""
        ...

    def require_written(self) -> None:
        """Raise ClickpipeError while earlier inserts have not succeeded."""
        ...
