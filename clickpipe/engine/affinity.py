"""Keeps threads with stuck statements on one core, so that the others are free for everybody else.

A thread in a function that does not listen cannot be stopped, but Linux lets us say where it may run.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from pathlib import Path

_TASKS = Path("/proc/self/task")


class Apart:
    """Which of this process's threads run on one core only. Not for several threads at once."""

    def __init__(self) -> None:
        """Begin with none."""
        self._is_any = False
        self._others: set[int] = set()  # threads with a core of their own before ours, such as jemalloc's

    def keep(self, threads: Collection[int]) -> None:
        """Let these threads run on one core, and all others on every core. On systems without this, do nothing."""
        if not hasattr(os, "sched_setaffinity") or not _TASKS.is_dir() or not (threads or self._is_any):
            return
        cores = os.sched_getaffinity(os.getpid())
        masks = {}
        for path in _TASKS.iterdir():
            with contextlib.suppress(OSError):  # the thread has ended
                masks[int(path.name)] = os.sched_getaffinity(int(path.name))
        if not self._is_any:
            self._others = {thread for thread, mask in masks.items() if mask != cores}
        self._is_any = bool(threads)
        for thread, mask in masks.items():
            wanted = {max(cores)} if thread in threads else cores
            if thread not in self._others and mask != wanted:
                with contextlib.suppress(OSError):
                    os.sched_setaffinity(thread, wanted)
