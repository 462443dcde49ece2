"""The write-ahead log: segments on disk, one for each insert.

A segment is written and synced before its rows are inserted, and removed after. Its name is the
insert's deduplication token, so a segment that is found after a crash can be inserted again: what
was already there stays there once.

Layout: `<folder>/<workspace>/<data source>/<number>.wal`; a segment is a magic line, then records of
(crc32, length, import id length) as little-endian integers, the import id, the lines.
"""

from __future__ import annotations

import os
import struct
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_MAGIC = b"clickpipe-wal-1\n"
_HEADER = struct.Struct("<IIH")


@dataclass(frozen=True, slots=True)
class Record:
    """One request's lines."""

    import_id: str
    lines: bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of the log."""

    workspace: str
    data_source: str
    path: Path

    @property
    def token(self) -> str:
        """Return the deduplication token of the insert."""
        return f"{self.workspace}/{self.data_source}/{self.path.stem}"


class WriteAheadLog:
    """All segments below one folder. Methods may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, made when absent."""
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._last = 0

    def _next(self) -> int:
        with self._lock:
            self._last = max(self._last + 1, time.time_ns())
            return self._last

    def write(self, workspace: str, data_source: str, records: Sequence[Record]) -> Segment:
        """Write records as a new segment and return when they are on disk. Raises OSError."""
        folder = self._folder / workspace / data_source
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            _sync_folder(folder.parent)
            _sync_folder(self._folder)
        path = folder / f"{self._next():020d}.wal"
        try:
            with path.open("xb") as file:
                file.write(_MAGIC)
                for record in records:
                    name = record.import_id.encode()
                    payload = name + record.lines
                    file.write(_HEADER.pack(zlib.crc32(payload), len(record.lines), len(name)))
                    file.write(payload)
                file.flush()
                os.fsync(file.fileno())
            _sync_folder(folder)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return Segment(workspace, data_source, path)

    def remove(self, segment: Segment) -> None:
        """Forget a segment whose rows are in the engine."""
        segment.path.unlink(missing_ok=True)

    def set_aside(self, segment: Segment) -> Path:
        """Keep a segment that cannot be inserted out of the way of recovery; return where it is now."""
        path = segment.path.with_suffix(".rejected")
        segment.path.rename(path)
        return path

    def unfinished(self) -> list[Segment]:
        """Return the segments that a stopped server left, oldest first."""
        found = [Segment(p.parent.parent.name, p.parent.name, p) for p in self._folder.glob("*/*/*.wal")]
        return sorted(found, key=lambda s: s.path.name)

    def sync(self, workspace: str) -> None:
        """Make the removal of a workspace's segments as durable as their writing was."""
        for folder in (self._folder / workspace).glob("*/"):
            _sync_folder(folder)

    def whole(self, segment: Segment) -> bool:
        """Tell whether all of a segment can be read: one that is not holds what nobody was told of, or is damaged."""
        size = len(_MAGIC) + sum(_HEADER.size + len(r.import_id.encode()) + len(r.lines) for r in self.read(segment))
        return size == segment.path.stat().st_size

    def read(self, segment: Segment) -> Iterator[Record]:
        """Yield a segment's records up to the first that is torn or damaged."""
        data = segment.path.read_bytes()
        if not data.startswith(_MAGIC):
            return
        at = len(_MAGIC)
        while at + _HEADER.size <= len(data):
            checksum, length, name_length = _HEADER.unpack_from(data, at)
            start = at + _HEADER.size
            payload = data[start : start + name_length + length]
            if len(payload) < name_length + length or zlib.crc32(payload) != checksum:
                return
            yield Record(payload[:name_length].decode(), payload[name_length:])
            at = start + name_length + length


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
