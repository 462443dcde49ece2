"""A file of the log: records that are appended and synced, and read up to the first incomplete one.

A magic line, then records: (crc32, length, name length) as little-endian integers, the name, the lines. The name is the
import id, followed by a line feed and the position after the lines if the source has positions (`position.py`).
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clickpipe.ingest.position import Position, Positions, furthest, read_name, record_name

_MAGIC = b"clickpipe-wal-1\n"
_HEADER = struct.Struct("<IIH")
_AT_ONCE = 1 << 20  # bytes to write per call


@dataclass(frozen=True, slots=True)
class Record:
    """The lines of one request, and the position of its source after them."""

    import_id: str
    lines: bytes
    position: Position | None = None

    @property
    def name(self) -> bytes:
        """Return the record's name in the log."""
        return record_name(self.import_id, self.position).encode()


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


class OpenSegment:
    """A segment that accepts records. Used by one thread at a time."""

    def __init__(self, segment: Segment) -> None:
        """Create the file, empty. Raises OSError."""
        self.segment = segment
        self._file = segment.path.open("xb", buffering=0)
        self._size = 0

    @property
    def size(self) -> int:
        """Return its size in bytes."""
        return self._size

    def rewind(self, size: int) -> None:
        """Truncate the segment to `size` bytes; it is truncated on disk when this returns. Raises OSError."""
        os.ftruncate(self._file.fileno(), size)
        self._file.seek(size)
        self._size = size
        os.fsync(self._file.fileno())

    def append(self, records: Sequence[Record]) -> None:
        """Write records, and return when they are on disk. If this raises OSError, none of them is in the segment."""
        parts = [] if self._size else [_MAGIC]
        for record in records:
            name = record.name
            checksum = zlib.crc32(record.lines, zlib.crc32(name))
            parts += [_HEADER.pack(checksum, len(record.lines), len(name)), name, record.lines]
        self._write(parts)

    def _write(self, parts: Sequence[bytes]) -> None:
        size = sum(map(len, parts))
        try:
            for part in [b"".join(parts)] if size <= _AT_ONCE else parts:  # lets other threads run between writes
                view = memoryview(part)
                while view:
                    view = view[self._file.write(view) :]
            os.fsync(self._file.fileno())
        except OSError:
            # readers ignore everything after an incomplete record, so nothing may follow this one
            os.ftruncate(self._file.fileno(), self._size)
            self._file.seek(self._size)
            raise
        self._size += size

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_records(segment: Segment) -> Iterator[Record]:
    """Yield a segment's records up to the first incomplete or damaged one."""
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
        import_id, position = read_name(payload[:name_length].decode())
        yield Record(import_id, payload[name_length:], position)
        at = start + name_length + length


def read_positions(segment: Segment) -> Positions:
    """Return the positions of the sources after a segment's lines."""
    return furthest(record.position for record in read_records(segment))


def unread_suffix(segment: Segment) -> str:
    """Return what follows the readable records: '' for nothing, `.torn` for part of a record, `.rejected` for damage.

    A process that crashed while writing an unacknowledged record leaves part of it.
    """
    data = segment.path.read_bytes()
    if _MAGIC.startswith(data):
        return ""
    if not data.startswith(_MAGIC):
        return ".rejected"
    at = len(_MAGIC) + sum(_HEADER.size + len(r.name) + len(r.lines) for r in read_records(segment))
    if at == len(data):
        return ""
    if len(data) - at < _HEADER.size:
        return ".torn"
    _, length, name_length = _HEADER.unpack_from(data, at)
    return ".torn" if len(data) - at - _HEADER.size < length + name_length else ".rejected"
