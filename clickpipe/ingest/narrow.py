"""Which rows an insert is refused for, by looking at parts of it, and at parts of those."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Self

from clickpipe.engine import owner, work_for

_FAN = 4  # parts that a refused range is split into
_FEW, _MANY = 16, 32  # rows of a piece, pieces: when all of them are refused, so are many of their rows


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that a view or the table does not take: its number, which of them, and what ClickHouse says."""

    row: int
    where: str
    why: str


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What becomes of an insert that was refused: the rows for quarantine, and how the others are written.

    `pieces` are ranges of rows that are taken each on its own; none when all others are taken together. `once`: what
    views make of the others is written without asking them again (`kept.py`).
    """

    refused: tuple[Refused, ...]
    pieces: tuple[tuple[int, int], ...] = ()
    once: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return it as the log keeps it."""
        return asdict(self)

    @classmethod
    def of(cls, kept: Any) -> Self:
        """Return what `as_dict` gave."""
        refused, pieces = (Refused(**one) for one in kept["refused"]), ((a, b) for a, b in kept["pieces"])
        return cls(tuple(refused), tuple(pieces), kept.get("once", False))


def narrow(
    look: Callable[[int, int], tuple[str, str] | None], rows: int, at_once: int = 1
) -> tuple[list[Refused], list[tuple[int, int]]]:
    """Return the rows that are refused on their own, and the ranges of those that are not.

    `look` tells of a range (first row, the one behind the last) by whom it is refused and why, None when it is taken;
    so many threads call it at once. All rows together are known to be refused. A few of many rows are found with few
    looks; where most are refused each row is looked at once, with half as many looks more at most.
    """
    refused: list[Refused] = []
    taken: list[tuple[int, int]] = []
    level = [(0, rows)] if rows else []
    single = rows == 1
    with ThreadPoolExecutor(at_once, "narrow", work_for, (owner(),)) as threads:
        while level:
            pieces = [piece for first, end in level for piece in _pieces(first, end, 1 if single else _FAN)]
            found = list(threads.map(lambda piece: look(*piece), pieces))
            level = []
            for (first, end), why in zip(pieces, found, strict=True):
                if why is None:
                    taken.append((first, end))
                elif end - first == 1:
                    refused.append(Refused(first, *why))
                else:
                    level.append((first, end))
            single = _is_dense(len(level), len(pieces), max((end - first for first, end in level), default=0))
    return sorted(refused, key=lambda one: one.row), sorted(taken)


def _pieces(first: int, end: int, fan: int) -> list[tuple[int, int]]:
    """Split a range into `fan` parts, or (1) its rows."""
    size = 1 if fan == 1 else max(1, -(-(end - first) // fan))
    return [(at, min(end, at + size)) for at in range(first, end, size)]


def _is_dense(refused: int, looked_at: int, size: int) -> bool:
    """Tell whether so many of the pieces are refused that looking at each row costs least."""
    return (size <= _FEW and refused == looked_at >= _MANY) or (size <= _FAN and 2 * refused > looked_at)
