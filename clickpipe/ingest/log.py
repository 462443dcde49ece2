"""The write-ahead log: segments on disk, each of which is one insert.

Requests are appended to a data source's open segment and synced, many per sync; a segment is sealed before its rows are
inserted, and removed afterwards. Its name is the insert's deduplication token, so a segment found after a crash can be
inserted again without duplicates.

Layout: `<folder>/<workspace>/<data source>/<number>.wal` (`log_file.py`). Next to it, `<number>.refused` is JSON: which
rows go to quarantine because a view or the table refuses them, and why; and `<number>.kept` is what views made of the
others (`kept_file.py`).

An inserted segment stays until the file system has written out ClickHouse's files (`settle`), and until ClickHouse is
known to have stored all of it: after a power loss, or on a full disk, either the rows are there or the segment is
inserted again.
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
from clickpipe.ingest.kept_file import KeptFile
from clickpipe.ingest.log_file import OpenSegment, Record, Segment, unread_suffix

_LOGGER = logging.getLogger(__name__)


class WriteAheadLog:
    """All segments below one folder. Methods may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, creating it if needed."""
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
        """Write records as their own segment, and return when they are on disk. Raises OSError."""
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
        """Remove a segment whose rows are on the engine's disk. Raises OSError."""
        segment.path.unlink(missing_ok=True)
        _forget_decisions(segment)

    def inserted(self, segment: Segment, since: Look) -> None:
        """Remove a segment whose rows are in the engine, as soon as they are on disk there.

        `since` is the result of `Engine.look` from before the insert.
        """
        with self._lock:
            self._inserted.append((segment, since))

    def settle(self, engine: Engine, again: Callable[[Sequence[Segment]], object], workspace: str = "") -> bool:
        """Flush everything written so far to disk, then remove the inserted segments.

        `again` is called with the segments to insert again: not all of their data reached the disk, and the engine has
        removed it. Returns whether there were any. With a workspace, the removal of its segments is also on disk when
        this returns. Raises OSError, and EngineError while something damaged cannot be removed.
        """
        with self._settling:  # segments that another thread is removing, or inserting again, must not be missed
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
        """Keep a segment, when it is inserted, if bytes after its records cannot be read."""
        self._to_check.add(segment)

    def _remove_read(self, segment: Segment) -> None:
        if segment not in self._to_check or not segment.path.exists():
            self.remove(segment)
            return
        rest = self.set_rest_aside(segment)
        self._to_check.discard(segment)
        if rest is not None:
            level = logging.INFO if rest.suffix == ".torn" else logging.WARNING
            _LOGGER.log(level, "a segment of the log with an unreadable end is kept in %s", rest)

    def set_aside(self, segment: Segment) -> Path:
        """Move a segment that cannot be inserted out of the way of recovery; return its new path."""
        path = segment.path.with_suffix(".rejected")
        segment.path.rename(path)
        return path

    def write_refused(self, segment: Segment, found: object) -> None:
        """Store durably which rows of a segment go to quarantine. Raises OSError."""
        path = _refused(segment)
        partial = path.with_suffix(".new")
        try:
            with partial.open("w", encoding="utf-8") as file:
                json.dump(found, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)

    def read_refused(self, segment: Segment) -> object | None:
        """Return what `write_refused` stored for a segment, or None."""
        with contextlib.suppress(FileNotFoundError):
            return json.loads(_refused(segment).read_text(encoding="utf-8"))  # type: ignore[no-any-return]
        return None

    def rejected(self, workspace: str) -> list[Segment]:
        """Return a workspace's rejected segments, oldest first."""
        found = [Segment(workspace, p.parent.name, p) for p in (self._folder / workspace).glob("*/*.rejected")]
        return sorted(found, key=lambda s: s.path.name)

    def take_back(self, segment: Segment) -> Segment:
        """Move a rejected segment back into the log, with the same token as before. Raises OSError."""
        path = segment.path.with_suffix(".wal")
        segment.path.rename(path)
        return Segment(segment.workspace, segment.data_source, path)

    def forget(self, workspace: str) -> None:
        """Remove all segments of a removed workspace."""
        with self._lock:
            self._inserted = [one for one in self._inserted if one[0].workspace != workspace]
        shutil.rmtree(self._folder / workspace, ignore_errors=True)

    def segments(self) -> list[Segment]:
        """Return the segments whose rows are not known to be on the engine's disk, oldest first."""
        found = [Segment(p.parent.parent.name, p.parent.name, p) for p in self._folder.glob("*/*/*.wal")]
        return sorted(found, key=lambda s: s.path.name)

    def unfinished(self) -> list[Segment]:
        """Return the segments left by a stopped server, oldest first; remove other leftovers.

        Call it only while nothing is written.
        """
        for path in self._folder.glob("*/*/*.new"):
            path.unlink()
        for kind in ("refused", "kept"):
            for path in self._folder.glob(f"*/*/*.{kind}"):
                if not any(path.with_suffix(of).exists() for of in (".wal", ".rejected")):
                    path.unlink(missing_ok=True)
        return self.segments()

    def sync(self, workspace: str) -> None:
        """Make the removal of a workspace's segments durable."""
        for folder in (self._folder / workspace).glob("*/"):
            sync_folder(folder)

    def set_rest_aside(self, segment: Segment) -> Path | None:
        """Remove a segment whose records are in the engine, or move it away if bytes after them cannot be read.

        Returns the new path: `*.torn` if it ends within a record, as after a crash while writing an unacknowledged one,
        else `*.rejected`: it is damaged.
        """
        suffix = unread_suffix(segment)
        if not suffix:
            self.remove(segment)
            return None
        path = segment.path.with_suffix(suffix)
        segment.path.rename(path)
        if suffix == ".torn":  # a rejected one may be taken back, with the same decisions about its rows
            _forget_decisions(segment)
        return path


def _refused(segment: Segment) -> Path:
    return segment.path.with_suffix(".refused")


def _forget_decisions(segment: Segment) -> None:
    """Remove what was decided about a segment's rows, and what views made of them."""
    _refused(segment).unlink(missing_ok=True)
    KeptFile(segment).path.unlink(missing_ok=True)
