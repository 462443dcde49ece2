"""Limits what results keep on disk until their clients take them, which may be never."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import IO, Protocol

_LOGGER = logging.getLogger(__name__)
_PART_OF_FREE = 4  # without a limit: one part in so many of what is free at the start


class Keeper(Protocol):
    """A result that is partly on disk."""

    @property
    def owner(self) -> str:
        """Return the workspace that asked for it."""
        ...

    def end(self) -> None:
        """Drop what is kept: its reader gets an error."""
        ...


class ResultSpace:
    """Ends the largest result of the workspace that keeps most while all together keep more than `most` bytes."""

    def __init__(self, folder: Path | None = None, most: int = 0) -> None:
        """Keep results in `folder` (default: the system's); at most a quarter of what is free there if `most` is 0."""
        self._folder = folder
        self._most = most or shutil.disk_usage(folder or tempfile.gettempdir()).free // _PART_OF_FREE
        self._kept: dict[Keeper, int] = {}
        self._lock = threading.Lock()

    def file(self) -> IO[bytes]:
        """Return a new file for a result; it is gone when it is closed."""
        return tempfile.TemporaryFile(dir=self._folder)

    def keep(self, keeper: Keeper, size: int) -> None:
        """Note the size of a result's file, and end results that are too much. Call it without a lock of its own."""
        with self._lock:
            self._kept[keeper] = size
            ended = self._too_much()
        for one, its in ended:
            message = "results on disk had more than %d bytes: the largest (%d bytes), of the workspace %s, is dropped"
            _LOGGER.warning(message, self._most, its, one.owner or "-")
            one.end()

    def forget(self, keeper: Keeper) -> None:
        """Forget a result that keeps no file any more."""
        with self._lock:
            self._kept.pop(keeper, None)

    def _too_much(self) -> list[tuple[Keeper, int]]:
        ended: list[tuple[Keeper, int]] = []
        while sum(self._kept.values()) > self._most:
            sums: Counter[str] = Counter()
            for one, size in self._kept.items():
                sums[one.owner] += size
            greediest = max(sums, key=lambda owner: sums[owner])
            largest = max((one for one in self._kept if one.owner == greediest), key=lambda one: self._kept[one])
            ended.append((largest, self._kept.pop(largest)))
        return ended
