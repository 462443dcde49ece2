"""The steps of a plan: each has a category, a reason, what it creates, and where its rows come from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from clickpipe.deploy.planning.physical import PhysicalObject

_ROWS_A_SECOND = 500_000  # a bit less than what two cores copy of events with a dozen columns
_ALTERED_A_SECOND = 5 * _ROWS_A_SECOND  # only one column is rewritten
_ALTERED_PART = 0.1  # seconds until ClickHouse starts on the next part


class Category(StrEnum):
    """How much a step changes."""

    METADATA = "metadata"
    CREATE = "create"
    ALTER = "in-place alter"
    REWRITE = "rewrite with backfill"
    REBUILD = "view rebuild"
    DESTRUCTIVE = "destructive"


@dataclass(frozen=True, slots=True)
class Copy:
    """Copies rows of the table `source` into its replacement: a SELECT, and its columns."""

    source: str
    select: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Populate:
    """Fills a view's target with the view's SELECT over the rows in `source`, matching columns by name as views do.

    `by_partition` means that it may run on one partition after the other, just as the view runs on each insert.
    """

    source: str
    select: str
    by_partition: bool = False


@dataclass(frozen=True, slots=True)
class Alteration:
    """Gives a new table the files of `source` after altering them; `statements` are what follows `ALTER TABLE …`.

    Each statement may be run twice. `writes` says whether parts are rewritten. Files that it does not touch are shared,
    and take no time or space.
    """

    source: str
    statements: tuple[str, ...]
    writes: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One change: its category, resource and reason; the rows it reads, with their bytes on disk and parts.

    `backfill`, `alter` and `populate` fill what it creates; `move` is a previous table whose rows it takes unchanged.
    `null` are dropped columns (table, name) that have no value in any row, and must have none when it is applied.
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
    null: tuple[tuple[str, str], ...] = ()

    @property
    def seconds(self) -> float:
        """Return roughly how long filling takes; inserts go on meanwhile."""
        if self.alter is not None:
            return round(self.parts * _ALTERED_PART + self.rows / _ALTERED_A_SECOND, 1) if self.alter.writes else 0.0
        return round(self.rows / _ROWS_A_SECOND, 1) if self.backfill or self.populate else 0.0


@dataclass(frozen=True, slots=True)
class Feedback:
    """A remark on the plan; level ERROR stops it. `line` and `column` are 1-based places in the file; 0 is none."""

    level: str
    resource: str
    message: str
    line: int = 0
    column: int = 0

    def as_dict(self) -> dict[str, str | int]:
        """Return it in the form that the deployment routes send."""
        place = {"line": self.line, "column": self.column} if self.line else {}
        return {"level": self.level, "resource": self.resource, "message": self.message, **place}
