"""The queue of one data source: requests to log, and segments of the log to insert."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self

from clickpipe.catalog import Live
from clickpipe.ingest.body import Lines
from clickpipe.ingest.decoder import Decoder
from clickpipe.ingest.kept import Kept
from clickpipe.ingest.log_file import OpenSegment, Segment
from clickpipe.ingest.mapping import RowMapping
from clickpipe.ingest.position import Position, Positions
from clickpipe.ingest.probe import Probe

_BACK_OFF = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # seconds
ATTEMPTS = 6  # in 19 seconds; after these, a view that turned against rows goes without them


@dataclass(frozen=True, slots=True)
class IngestResult:
    """How many of a request's rows went into the data source, and how many into its quarantine.

    `readable` means that they can be read already, and are not only durable. `refused` is why none of the fitting rows
    could be written.
    """

    successful_rows: int
    quarantined_rows: int
    readable: bool = field(default=True, compare=False)
    refused: str = field(default="", compare=False)

    def without(self, refused: int, reason: str) -> Self:
        """Return it with `refused` rows moved to quarantine, because a view or the table refused them."""
        left = self.successful_rows - refused
        return replace(
            self,
            successful_rows=left,
            quarantined_rows=self.quarantined_rows + refused,
            refused=reason if refused and not left else "",
        )


def import_id() -> str:
    """Return an id for a request's lines. It is not a secret, so a fast random source will do."""
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


@dataclass(slots=True)
class Ingestion:
    """One request: its lines, and whether to answer when they can be read (`wait`) or as soon as they are durable."""

    import_id: str
    lines: Lines
    wait: bool
    position: Position | None = None  # of its source, after these lines
    done: Future[IngestResult] = field(default_factory=Future)
    size: int = field(init=False)  # its bytes

    def __post_init__(self) -> None:
        """Compute the size."""
        self.size = len(self.lines.data)


class State(StrEnum):
    """The state of a segment of the log."""

    OPEN = "open"
    SEALED = "sealed"
    INSERTING = "inserting"
    RETRYING = "retrying"
    NARROWING = "narrowing"
    INSERTED = "inserted"


# Allowed transitions. A segment leaves the log only once its rows are in the table and its views, or in quarantine.
MOVES: Mapping[State, frozenset[State]] = {
    State.OPEN: frozenset({State.SEALED}),
    State.SEALED: frozenset({State.INSERTING}),
    State.INSERTING: frozenset({State.INSERTED, State.RETRYING, State.NARROWING}),
    State.RETRYING: frozenset({State.INSERTING}),
    State.NARROWING: frozenset({State.INSERTED, State.RETRYING}),
    State.INSERTED: frozenset(),
}


@dataclass(slots=True)
class Batch:
    """A segment of the log, facts about its lines, and the requests that wait until they can be read."""

    segment: Segment
    file: OpenSegment | None = None  # while it is open
    size: int = 0  # bytes of lines
    good: int = 0  # rows that fit
    bad: int = 0  # rows that go to quarantine
    certain: list[str] = field(default_factory=list)  # import ids of lines that certainly fit and were not staged
    values: list[bytes] = field(default_factory=list)  # their rows, unless `lines_only`: values of `columns`
    columns: str = ""
    lines_only: bool = False  # the values of some lines are unknown
    state: State = State.OPEN
    since: float = field(default_factory=time.monotonic)
    waiting: list[tuple[Ingestion, IngestResult]] = field(default_factory=list)
    positions: Positions = field(default_factory=dict)  # of its lines' sources, after these lines
    attempts: int = 0
    again_at: float = 0.0  # time of the next attempt
    problem: str = ""  # why the last attempt failed
    passing: bool = False  # the cause is temporary and affects other segments too

    def add(self, requests: Iterable[Ingestion], counts: Mapping[str, IngestResult]) -> None:
        """Count logged requests."""
        self.size += sum(r.size for r in requests)
        self.good += sum(c.successful_rows for c in counts.values())
        self.bad += sum(c.quarantined_rows for c in counts.values())

    def to(self, state: State) -> None:
        """Change the state. Raises RuntimeError for a transition that is not allowed."""
        if state not in MOVES[self.state]:
            message = f"a segment that is {self.state} cannot be {state}"
            raise RuntimeError(message)
        self.state = state

    def seal(self) -> None:
        """Close the segment to new lines."""
        if self.file is not None:
            self.file.close()
            self.file = None
            self.to(State.SEALED)

    def forget_values(self) -> None:
        """Drop the rows from memory: the log has the lines."""
        self.lines_only = True
        self.values.clear()

    def put_off(self, problem: str, *, passing: bool) -> None:
        """Schedule another attempt, with back-off."""
        self.to(State.RETRYING)
        self.forget_values()
        self.problem, self.passing = problem, passing
        self.again_at = time.monotonic() + _BACK_OFF[min(self.attempts, len(_BACK_OFF) - 1)]
        self.attempts += 1


@dataclass(slots=True)
class Staging:
    """How a channel's lines are checked and staged.

    `stale` means that something staged may not be in the log; `empty` that nothing is staged. `blocks` counts the
    staging statements so far, each of which makes one block.
    """

    live: Live
    mapping: RowMapping
    decoder: Decoder | None = None
    stale: bool = False
    empty: bool = False
    blocks: int = 0
    probe: Probe | None = None
    joins: bool = False  # whether it writes to a Join table
    uncertain: bool | None = None  # whether views may treat the same row differently; None: not known yet
    kept: Kept | None = None


@dataclass(slots=True)
class Channel:
    """The queue of one data source. While `running`, a thread owns `open` and `sealed`."""

    workspace: str
    data_source: str
    pending: list[Ingestion] = field(default_factory=list)
    running: bool = False
    open: Batch | None = None
    inserting: Batch | None = None
    sealed: deque[Batch] = field(default_factory=deque)  # oldest first: failed ones, and those waiting after them
    staging: Staging | None = None
    flush: bool = False  # insert what is logged now
    recent: deque[float] = field(default_factory=deque)  # times of the last inserts

    @property
    def blocked(self) -> bool:
        """Return whether an insert would fail for the same reason as an earlier one."""
        return any(batch.passing for batch in tuple(self.sealed))

    @property
    def waiting_bytes(self) -> int:
        """Return how many bytes of lines are in segments that are not inserted yet."""
        return sum(batch.size for batch in tuple(self.sealed))

    def is_old(self, seconds: float, *, closing: bool) -> bool:
        """Return whether to insert the open segment: it is older than `seconds`, or the server is closing."""
        return self.open is not None and (closing or time.monotonic() - self.open.since >= seconds)

    def due(self, seconds: float) -> list[float]:
        """Return when each segment is due: an open one `seconds` after it was begun, others at their next attempt."""
        opened = self.open  # another thread may set it to None
        found = [batch.again_at for batch in tuple(self.sealed)]
        return [*found, opened.since + seconds] if opened is not None else found

    def batches(self) -> list[Batch]:
        """Return all segments, oldest first."""
        return [b for b in (*tuple(self.sealed), self.inserting, self.open) if b is not None]

    def take(self, most: int) -> list[Ingestion]:
        """Take requests for the next batch: at least one, and at most `most` bytes if several."""
        size = count = 0
        for request in self.pending:
            if count and size + request.size > most:
                break
            size += request.size
            count += 1
        batch, self.pending = self.pending[:count], self.pending[count:]
        return batch
