"""Rows that are staged, and the result of inserting them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from clickpipe.ingest.kept import Kept
from clickpipe.ingest.kept_file import KeptFile
from clickpipe.ingest.mapping import RowMapping
from clickpipe.ingest.probe import Probe


@dataclass(frozen=True, slots=True)
class StagedRows:
    """Rows that are staged by a mapping: how many fit and do not, and the token of their insert.

    `probe` gives the copy of table and views that tells who refuses them; `ahead`: they are sent through it first.
    `one_block`: they were staged by one statement, and need no sorting to be inserted as one block.
    `kept`, where views may judge the same rows in two ways, gives the copy that keeps what they make of them, or None.
    `file`, if any, is where that is stored until it is written. `lacking`: it failed often enough, so rows that a view
    took and refuses now are written without it.
    """

    mapping: RowMapping
    good: int
    bad: int
    token: str
    probe: Callable[[], Probe]
    ahead: bool
    one_block: bool = False
    kept: Callable[[], Kept | None] | None = None
    file: KeptFile | None = None
    lacking: bool = False


@dataclass(frozen=True, slots=True)
class Inserted:
    """The result for staged rows: by import id, how many were refused, and the reason for one of them.

    `lack` says which rows a view lacks, if any.
    """

    refused: dict[str, tuple[int, str]] = field(default_factory=dict)
    lack: str = ""

    def __add__(self, other: Inserted) -> Inserted:
        """Return the sum of both."""
        found = dict(self.refused)
        for name, (count, why) in other.refused.items():
            found[name] = (count + found.get(name, (0, ""))[0], why)
        return Inserted(found, self.lack or other.lack)

    @property
    def rows(self) -> int:
        """Return how many rows were refused."""
        return sum(count for count, _ in self.refused.values())
