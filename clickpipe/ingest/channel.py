"""What waits for one data source: requests that are to be logged, and logged lines that are to be inserted."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field

from clickpipe.catalog import Live
from clickpipe.ingest.body import Lines
from clickpipe.ingest.log import OpenSegment
from clickpipe.ingest.mapping import RowMapping


@dataclass(frozen=True, slots=True)
class IngestResult:
    """How many of a request's rows went into the data source, how many into its quarantine."""

    successful_rows: int
    quarantined_rows: int


@dataclass(slots=True)
class Ingestion:
    """One request: its lines, and whether it is answered when they can be read or when they are durable."""

    import_id: str
    lines: Lines
    wait: bool
    done: Future[IngestResult] = field(default_factory=Future)

    @property
    def size(self) -> int:
        """Return its bytes."""
        return len(self.lines.data)


@dataclass(slots=True)
class OpenBatch:
    """An open segment of the log, and the lines in it."""

    segment: OpenSegment
    size: int = 0  # bytes of lines
    good: int = 0  # rows that fit
    bad: int = 0  # rows that go to quarantine
    acknowledged: int = 0  # rows that callers were told of
    since: float = field(default_factory=time.monotonic)


@dataclass(slots=True)
class Staging:
    """The mapping by which a channel's lines are staged; `stale` when what is staged is not what is logged."""

    live: Live
    mapping: RowMapping
    stale: bool = False


@dataclass(slots=True)
class Channel:
    """The queue of one data source; `running` while a thread works on it, and touches `open`."""

    workspace: str
    data_source: str
    pending: list[Ingestion] = field(default_factory=list)
    running: bool = False
    open: OpenBatch | None = None
    staging: Staging | None = None
    flush: bool = False  # what is logged is to be inserted now
    recent: deque[float] = field(default_factory=deque)  # when the last inserts were

    def take(self, most: int) -> list[Ingestion]:
        """Take the requests of the next batch: one at least, no more than `most` bytes of several."""
        size = count = 0
        for request in self.pending:
            if count and size + request.size > most:
                break
            size += request.size
            count += 1
        batch, self.pending = self.pending[:count], self.pending[count:]
        return batch
