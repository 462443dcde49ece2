"""Threads that write, of each workspace its own: one whose views take long holds no other's events."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from clickpipe.engine import work_for


class Pools:
    """So many threads for each workspace. One caller at a time."""

    def __init__(self, workers: int, owner: Callable[[str], str] = str) -> None:
        """Start `workers` threads of a workspace as they are needed; `owner` tells for whom the engine works there."""
        self.owner = owner
        self._workers = workers
        self._pools: dict[str, ThreadPoolExecutor] = {}

    def has_others(self, workspace: str) -> bool:
        """Tell whether workspaces of other owners have threads."""
        return any(self.owner(other) != self.owner(workspace) for other in list(self._pools))

    def submit(self, workspace: str, work: Callable[[], None]) -> None:
        """Run something on a thread of a workspace."""
        if workspace not in self._pools:
            self._pools[workspace] = ThreadPoolExecutor(
                self._workers, thread_name_prefix="ingest", initializer=work_for, initargs=(self.owner(workspace),)
            )
        self._pools[workspace].submit(work)

    def forget(self, workspace: str) -> None:
        """Let go of the threads of a workspace that is gone."""
        if (pool := self._pools.pop(workspace, None)) is not None:
            pool.shutdown(wait=False)

    def close(self, *, wait: bool = True) -> None:
        """Let go of all threads, when they are done unless they go on for too long."""
        for pool in self._pools.values():
            pool.shutdown(wait=wait)
