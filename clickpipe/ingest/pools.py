"""Writing threads, separate for each workspace, so that one with slow views does not delay others' events."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from clickpipe.catalog import Registry
from clickpipe.engine import work_for


class Pools:
    """A thread pool per workspace. Not thread-safe."""

    def __init__(self, workers: int, workspaces: Registry) -> None:
        """Start up to `workers` threads per workspace on demand; `workspaces` knows their engine owners."""
        self.owner = workspaces.owner
        self._workers = workers
        self._pools: dict[str, ThreadPoolExecutor] = {}

    def has_others(self, workspace: str) -> bool:
        """Return whether workspaces of other owners have threads."""
        return any(self.owner(other) != self.owner(workspace) for other in list(self._pools))

    def submit(self, workspace: str, work: Callable[[], None]) -> None:
        """Run something on a thread of a workspace."""
        if workspace not in self._pools:
            self._pools[workspace] = ThreadPoolExecutor(
                self._workers, thread_name_prefix="ingest", initializer=work_for, initargs=(self.owner(workspace),)
            )
        self._pools[workspace].submit(work)

    def forget(self, workspace: str) -> None:
        """Release the threads of a deleted workspace."""
        if (pool := self._pools.pop(workspace, None)) is not None:
            pool.shutdown(wait=False)

    def close(self, *, wait: bool = True) -> None:
        """Release all threads; with `wait`, once they are done."""
        for pool in self._pools.values():
            pool.shutdown(wait=wait)
