"""The write-ahead log: segments on disk, one for each insert.

Requests are appended to a data source's open segment and synced, many with one sync; a segment is closed before its
rows are inserted, and removed after. Its name is the insert's deduplication token, so a segment that is found after a
crash can be inserted again: what was already there stays there once.

Layout: `<folder>/<workspace>/<data source>/<number>.wal` (`log_file.py`). `<number>.refused` beside it is JSON: which
of its rows go to quarantine because a view or the table refuses them, and why.

A segment that is inserted stays until the file system has written out what ClickHouse wrote (`settle`), and until it is
known that it took all of it: a machine that loses power, or a full disk, has the rows then, or the segment is inserted
again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from clickpipe.engine import Engine, Look
from clickpipe.ingest.durable import sync_file_system, sync_folder
from clickpipe.ingest.log_file import OpenSegment, Record, Segment, unread_suffix

_LOGGER = logging.getLogger(__name__)


class WriteAheadLog:
    """All segments below one folder. Methods may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, made when absent."""
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)
        self._lock = threading.Lock()
        self._settling = threading.Lock()
        self._last = 0
        self._inserted: list[tuple[Segment, Look]] = []
        self._to_check: set[Segment] = set()

    def _next(self) -> int:
        with self._lock:
            self._last = max(self._last + 1, time.time_ns())
            return self._last

    def open(self, workspace: str, data_source: str) -> OpenSegment:
        """Start a new segment; it is on disk when this returns. Raises OSError."""
        folder = self._folder / workspace / data_source
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            sync_folder(folder.parent)
            sync_folder(self._folder)
        opened = OpenSegment(Segment(workspace, data_source, folder / f"{self._next():020d}.wal"))
        try:
            sync_folder(folder)
        except OSError:
            opened.close()
            opened.segment.path.unlink(missing_ok=True)
            raise
        return opened

    def write(self, workspace: str, data_source: str, records: Sequence[Record]) -> Segment:
        """Write records as a segment of their own and return when they are on disk. Raises OSError."""
        opened = self.open(workspace, data_source)
        try:
            opened.append(records)
        except OSError:
            opened.segment.path.unlink(missing_ok=True)
            raise
        finally:
            opened.close()
        return opened.segment

    def remove(self, segment: Segment) -> None:
        """Forget a segment whose rows are in the engine, on disk. Raises OSError."""
        segment.path.unlink(missing_ok=True)
        _refused(segment).unlink(missing_ok=True)

    def inserted(self, segment: Segment, since: Look) -> None:
        """Forget a segment whose rows are in the engine as soon as they are on disk there.

        `since` is a look at the engine's disk from before the insert.
        """
        with self._lock:
            self._inserted.append((segment, since))

    def settle(self, engine: Engine, again: Callable[[Sequence[Segment]], object], workspace: str = "") -> bool:
        """Have all that was written so far on disk, then forget the segments that are inserted.

        `again` gets those that are to be inserted again: not all that was written got to the disk, and the engine has
        taken it out. Returns whether there were any. With a workspace, the removal of its segments is on disk too when
        this returns. Raises OSError, and EngineError while something damaged cannot be taken out.
        """
        with self._settling:  # what another thread is about to remove, or to insert again, is not left out
            with self._lock:
                found, self._inserted = self._inserted, []
            try:
                now = engine.inspect(min((since for _, since in found), key=lambda one: one.at, default=engine.look()))
                lost = [segment for segment, since in found if since.repairs != now.repairs]
                if lost:
                    again(lost)
                    found = [(segment, since) for segment, since in found if since.repairs == now.repairs]
                if found:
                    sync_file_system(self._folder)
                while found:
                    self._remove_read(found[-1][0])
                    found.pop()
            finally:
                with self._lock:
                    self._inserted += found
            if workspace:
                self.sync(workspace)
        return bool(lost)

    def check_when_removed(self, segment: Segment) -> None:
        """Keep a segment aside where bytes behind its records cannot be read, when it is inserted."""
        self._to_check.add(segment)

    def _remove_read(self, segment: Segment) -> None:
        if segment not in self._to_check or not segment.path.exists():
            self.remove(segment)
            return
        rest = self.set_rest_aside(segment)
        self._to_check.discard(segment)
        if rest is not None:
            level = logging.INFO if rest.suffix == ".torn" else logging.WARNING
            _LOGGER.log(level, "a segment of the log that cannot be read to its end is kept in %s", rest)

    def set_aside(self, segment: Segment) -> Path:
        """Keep a segment that cannot be inserted out of the way of recovery; return where it is now."""
        path = segment.path.with_suffix(".rejected")
        segment.path.rename(path)
        return path

    def write_refused(self, segment: Segment, found: object) -> None:
        """Keep, durably, what of a segment goes to quarantine. Raises OSError."""
        path = _refused(segment)
        beside = path.with_suffix(".new")
        try:
            with beside.open("w", encoding="utf-8") as file:
                json.dump(found, file)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)

    def read_refused(self, segment: Segment) -> object | None:
        """Return what `write_refused` kept of a segment, None if nothing was."""
        with contextlib.suppress(FileNotFoundError):
            return json.loads(_refused(segment).read_text(encoding="utf-8"))  # type: ignore[no-any-return]
        return None

    def rejected(self, workspace: str) -> list[Segment]:
        """Return the segments of a workspace that were kept aside, the oldest first."""
        found = [Segment(workspace, p.parent.name, p) for p in (self._folder / workspace).glob("*/*.rejected")]
        return sorted(found, key=lambda s: s.path.name)

    def take_back(self, segment: Segment) -> Segment:
        """Give a segment that was kept aside its place in the log again; its token is what it was. Raises OSError."""
        path = segment.path.with_suffix(".wal")
        segment.path.rename(path)
        return Segment(segment.workspace, segment.data_source, path)

    def forget(self, workspace: str) -> None:
        """Remove all that is there of a workspace that is gone."""
        with self._lock:
            self._inserted = [one for one in self._inserted if one[0].workspace != workspace]
        shutil.rmtree(self._folder / workspace, ignore_errors=True)

    def unfinished(self) -> list[Segment]:
        """Return the segments that a stopped server left, oldest first; leftovers of others are removed."""
        for path in self._folder.glob("*/*/*.new"):
            path.unlink()
        for path in self._folder.glob("*/*/*.refused"):
            if not any(path.with_suffix(of).exists() for of in (".wal", ".rejected")):
                path.unlink(missing_ok=True)
        found = [Segment(p.parent.parent.name, p.parent.name, p) for p in self._folder.glob("*/*/*.wal")]
        return sorted(found, key=lambda s: s.path.name)

    def sync(self, workspace: str) -> None:
        """Make the removal of a workspace's segments as durable as their writing was."""
        for folder in (self._folder / workspace).glob("*/"):
            sync_folder(folder)

    def set_rest_aside(self, segment: Segment) -> Path | None:
        """Forget a segment whose records are in the engine; keep it where bytes behind them cannot be read.

        Returns where it is then: `*.torn` when it ends within a record, as after a crash of the process that wrote
        what nobody was told of, else `*.rejected`: it is damaged.
        """
        suffix = unread_suffix(segment)
        if not suffix:
            self.remove(segment)
            return None
        path = segment.path.with_suffix(suffix)
        segment.path.rename(path)
        if suffix == ".torn":  # another is taken back, and what was decided of its rows holds then
            _refused(segment).unlink(missing_ok=True)
        return path


def _refused(segment: Segment) -> Path:
    return segment.path.with_suffix(".refused")
