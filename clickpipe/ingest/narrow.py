"""Which rows an insert is refused for, by halving."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that a view or the table does not take: its number, which of them, and what ClickHouse says."""

    row: int
    where: str
    why: str


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What becomes of an insert that was refused: the rows for quarantine, and how the others are written.

    `pieces` are ranges of rows that are taken each on its own; none when all others are taken together.
    """

    refused: tuple[Refused, ...]
    pieces: tuple[tuple[int, int], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it as the log keeps it."""
        return asdict(self)

    @classmethod
    def of(cls, kept: Any) -> Self:
        """Return what `as_dict` gave."""
        return cls(tuple(Refused(**one) for one in kept["refused"]), tuple((a, b) for a, b in kept["pieces"]))


def narrow(
    look: Callable[[int, int], tuple[str, str] | None], rows: int
) -> tuple[list[Refused], list[tuple[int, int]]]:
    """Return the rows that are refused on their own, and the ranges of those that are not.

    `look` tells of a range (first row, the one behind the last) by whom it is refused and why, None when it is taken.
    All rows together are known to be refused.
    """
    refused: list[Refused] = []
    taken: list[tuple[int, int]] = []

    def search(first: int, end: int, *, known: bool) -> bool:
        """Tell whether a range is taken; `known`: it is not, so only its halves are looked at."""
        single = end - first == 1
        if single or not known:
            found = look(first, end)
            if found is None:
                taken.append((first, end))
                return True
            if single:
                refused.append(Refused(first, *found))
                return False
        middle = (first + end) // 2
        left = search(first, middle, known=False)
        search(middle, end, known=left)
        return False

    if rows:
        search(0, rows, known=True)
    return refused, taken
