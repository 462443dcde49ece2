"""The steps of a plan: each with its category, why it is made, what it makes, and how that gets its rows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from clickpipe.deploy.planning.physical import PhysicalObject

_ROWS_A_SECOND = 500_000  # what a machine with two cores copies of events of a dozen columns, and a little less
_ALTERED_A_SECOND = 5 * _ROWS_A_SECOND  # of these, one column is written
_ALTERED_PART = 0.1  # seconds until ClickHouse takes up the next one


class Category(StrEnum):
    """How much a step touches."""

    METADATA = "metadata"
    CREATE = "create"
    ALTER = "in-place alter"
    REWRITE = "rewrite with backfill"
    REBUILD = "view rebuild"
    DESTRUCTIVE = "destructive"


@dataclass(frozen=True, slots=True)
class Copy:
    """Rows of the table `source` for the one that takes its place: a SELECT, and the columns it gives."""

    source: str
    select: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Populate:
    """A view's SELECT over the rows that are in `source`, for its target: by the names of its columns, as it writes.

    `by_partition` tells that it may be given a partition of them after another, as it is given what is inserted.
    """

    source: str
    select: str
    by_partition: bool = False


@dataclass(frozen=True, slots=True)
class Alteration:
    """The files of the table `source` for a new one: altered first, by what follows `ALTER TABLE …` in each statement.

    Each may be carried out twice. `writes` tells whether parts are written. What it does not touch of a part takes no
    time and no space: those files are shared.
    """

    source: str
    statements: tuple[str, ...]
    writes: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One change: its category, the resource, the reason in words; the rows it reads, their bytes on disk, and parts.

    `backfill`, `alter` and `populate` fill what it makes, `move` is the table before whose rows it gets as they are.
    """

    category: Category
    resource: str
    reason: str
    rows: int = 0
    create: tuple[PhysicalObject, ...] = ()
    backfill: Copy | None = None
    populate: tuple[Populate, ...] = ()
    move: str = ""
    size: int = 0
    parts: int = 0
    alter: Alteration | None = None

    @property
    def seconds(self) -> float:
        """Return about how long it takes to copy or fill; while that lasts, rows go on being taken."""
        if self.alter is not None:
            return round(self.parts * _ALTERED_PART + self.rows / _ALTERED_A_SECOND, 1) if self.alter.writes else 0.0
        return round(self.rows / _ROWS_A_SECOND, 1) if self.backfill or self.populate else 0.0


@dataclass(frozen=True, slots=True)
class Feedback:
    """A remark on the plan; level ERROR stops it. `line` and `column` (from 1; 0: none) are its place in the file."""

    level: str
    resource: str
    message: str
    line: int = 0
    column: int = 0

    def as_dict(self) -> dict[str, str | int]:
        """Return it as the deployment routes send it."""
        place = {"line": self.line, "column": self.column} if self.line else {}
        return {"level": self.level, "resource": self.resource, "message": self.message, **place}
