"""Lists segments of the log that were set aside, and waits for their replay."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from clickpipe.ingest.channel import Batch, Channel, State
from clickpipe.ingest.log import WriteAheadLog
from clickpipe.ingest.log_file import Segment, read_records


@dataclass(frozen=True, slots=True)
class RejectedSegment:
    """A segment that was set aside: its data source is gone, it cannot be read, or an older version left it.

    `rows` is the number of readable lines.
    """

    data_source: str
    file: str
    rows: int
    size: int
    since: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)


def list_rejected(log: WriteAheadLog, workspace: str) -> list[RejectedSegment]:
    """Return a workspace's set-aside segments, oldest first."""
    return [_described(segment) for segment in log.rejected(workspace)]


def _described(segment: Segment) -> RejectedSegment:
    rows = sum(record.lines.count(b"\n") + 1 for record in read_records(segment))
    found = segment.path.stat()
    since = datetime.fromtimestamp(found.st_mtime, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return RejectedSegment(segment.data_source, segment.path.name, rows, found.st_size, since)


def wait_until_tried(batches: list[tuple[Channel, Batch]], state: threading.Condition, seconds: float) -> int:
    """Wait until segments are inserted or have failed, up to `seconds`; return how many are inserted."""
    until = time.monotonic() + seconds
    under_way = {State.SEALED, State.INSERTING, State.NARROWING}
    with state:
        while time.monotonic() < until and any(batch.state in under_way for _, batch in batches):
            state.wait(0.05)
    return sum(batch.state is State.INSERTED for _, batch in batches)
