"""Stores what views made of a segment's rows next to the segment, so that a stop cannot make them decide again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clickpipe.ingest.durable import sync_folder
from clickpipe.ingest.log_file import OpenSegment, Record, Segment, read_records


class KeptFile:
    """A file with one record for each table: its name, and its rows."""

    def __init__(self, segment: Segment) -> None:
        """Use the file next to a segment of the log, which may not exist yet."""
        self._segment = segment
        self.path = segment.path.with_suffix(".kept")

    def write(self, records: Sequence[Record]) -> None:
        """Store records; they are on disk when this returns. Without any, there is no file. Raises OSError."""
        if not records:
            self.path.unlink(missing_ok=True)
            sync_folder(self.path.parent)
            return
        partial = self.path.with_suffix(".new")
        partial.unlink(missing_ok=True)
        try:
            opened = OpenSegment(self._of(partial))
            try:
                opened.append(records)
            finally:
                opened.close()
            partial.replace(self.path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        sync_folder(self.path.parent)

    def read(self) -> list[Record]:
        """Return the records that can be read; [] if there is no file. Raises OSError."""
        try:
            return list(read_records(self._of(self.path)))
        except FileNotFoundError:
            return []

    def _of(self, path: Path) -> Segment:
        return Segment(self._segment.workspace, self._segment.data_source, path)
