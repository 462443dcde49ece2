"""What waits for one data source: requests that are to be logged, and segments of the log that are to be inserted."""

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


@dataclass(frozen=True, slots=True)
class IngestResult:
    """How many of a request's rows went into the data source, how many into its quarantine.

    `readable`: they are there already, not only durable. `refused` is why none of the rows that fit could be written.
    """

    successful_rows: int
    quarantined_rows: int
    readable: bool = field(default=True, compare=False)
    refused: str = field(default="", compare=False)

    def without(self, refused: int, reason: str) -> Self:
        """Return it with so many rows that a view or the table refused."""
        left = self.successful_rows - refused
        return replace(
            self,
            successful_rows=left,
            quarantined_rows=self.quarantined_rows + refused,
            refused=reason if refused and not left else "",
        )


def import_id() -> str:
    """Return a name for a request's lines: not a secret, so it asks the system for nothing."""
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


@dataclass(slots=True)
class Ingestion:
    """One request: its lines, and whether it is answered when they can be read or when they are durable."""

    import_id: str
    lines: Lines
    wait: bool
    position: Position | None = None  # of its source, behind the lines
    done: Future[IngestResult] = field(default_factory=Future)
    size: int = field(init=False)  # its bytes

    def __post_init__(self) -> None:
        """Measure it."""
        self.size = len(self.lines.data)


class State(StrEnum):
    """Where a segment of the log is on its way."""

    OPEN = "open"
    SEALED = "sealed"
    INSERTING = "inserting"
    RETRYING = "retrying"
    NARROWING = "narrowing"
    INSERTED = "inserted"


# What follows what. A segment leaves the log in one way: its rows are in the table and its views, or in quarantine.
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
    """A segment of the log, what is known of the lines in it, and who waits until they can be read."""

    segment: Segment
    file: OpenSegment | None = None  # while it takes more
    size: int = 0  # bytes of lines
    good: int = 0  # rows that fit
    bad: int = 0  # rows that go to quarantine
    certain: list[str] = field(default_factory=list)  # import ids of lines that certainly fit, and are not staged
    values: list[bytes] = field(default_factory=list)  # their rows, unless `lines_only`: values of `columns`
    columns: str = ""
    lines_only: bool = False  # there are lines of which the values are not known
    state: State = State.OPEN
    since: float = field(default_factory=time.monotonic)
    waiting: list[tuple[Ingestion, IngestResult]] = field(default_factory=list)
    positions: Positions = field(default_factory=dict)  # of the sources of its lines, behind them
    attempts: int = 0
    again_at: float = 0.0  # when it is tried next
    problem: str = ""  # why the last attempt failed
    passing: bool = False  # others would fail as it did

    def add(self, requests: Iterable[Ingestion], counts: Mapping[str, IngestResult]) -> None:
        """Count requests that were logged."""
        self.size += sum(r.size for r in requests)
        self.good += sum(c.successful_rows for c in counts.values())
        self.bad += sum(c.quarantined_rows for c in counts.values())

    def to(self, state: State) -> None:
        """Move on to another state."""
        if state not in MOVES[self.state]:
            message = f"a segment that is {self.state} cannot be {state}"
            raise RuntimeError(message)
        self.state = state

    def seal(self) -> None:
        """Take no more lines."""
        if self.file is not None:
            self.file.close()
            self.file = None
            self.to(State.SEALED)

    def forget_values(self) -> None:
        """Keep no rows in memory: the log has the lines."""
        self.lines_only = True
        self.values.clear()

    def put_off(self, problem: str, *, passing: bool) -> None:
        """Try it again later."""
        self.to(State.RETRYING)
        self.forget_values()
        self.problem, self.passing = problem, passing
        self.again_at = time.monotonic() + _BACK_OFF[min(self.attempts, len(_BACK_OFF) - 1)]
        self.attempts += 1


@dataclass(slots=True)
class Staging:
    """How a channel's lines are judged and staged.

    `stale` when something is staged that is not logged, or may be; `empty` when nothing is staged. `blocks` counts
    the statements that staged what is there: each makes one block.
    """

    live: Live
    mapping: RowMapping
    decoder: Decoder | None = None
    stale: bool = False
    empty: bool = False
    blocks: int = 0
    probe: Probe | None = None
    uncertain: bool | None = None  # whether views may judge rows in two ways; None: not known yet
    kept: Kept | None = None


@dataclass(slots=True)
class Channel:
    """The queue of one data source; `running` while a thread works on it, and touches `open` and `sealed`."""

    workspace: str
    data_source: str
    pending: list[Ingestion] = field(default_factory=list)
    running: bool = False
    open: Batch | None = None
    inserting: Batch | None = None
    sealed: deque[Batch] = field(default_factory=deque)  # oldest first: those whose insert failed, and those behind
    staging: Staging | None = None
    flush: bool = False  # what is logged is to be inserted now
    recent: deque[float] = field(default_factory=deque)  # when the last inserts were

    @property
    def blocked(self) -> bool:
        """Tell whether an insert would fail for what made an earlier one fail."""
        return any(batch.passing for batch in tuple(self.sealed))

    @property
    def waiting_bytes(self) -> int:
        """Return the bytes of lines in segments that could not be inserted yet."""
        return sum(batch.size for batch in tuple(self.sealed))

    def is_old(self, seconds: float, *, closing: bool) -> bool:
        """Tell whether the open segment is to be inserted: so many seconds old, or the last."""
        return self.open is not None and (closing or time.monotonic() - self.open.since >= seconds)

    def due(self, seconds: float) -> list[float]:
        """Return when its segments are to be inserted: an open one so many seconds after it was begun."""
        opened = self.open  # another thread may set it to None
        found = [batch.again_at for batch in tuple(self.sealed)]
        return [*found, opened.since + seconds] if opened is not None else found

    def batches(self) -> list[Batch]:
        """Return its segments, the oldest first."""
        return [b for b in (*tuple(self.sealed), self.inserting, self.open) if b is not None]

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
