"""Finds the rows for which an insert is refused, by trying parts of it, and parts of those."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Self

from clickpipe.engine import owner, work_for

TRIES = 20  # for a row that was accepted before, and is refused at random now
_FAN = 4  # parts to split a refused range into
_FEW, _MANY = 16, 32  # rows per piece, number of pieces: if all of these are refused, so are many of their rows


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that a view or the table refuses: its number, which of them, and ClickHouse's message."""

    row: int
    where: str
    why: str


@dataclass(frozen=True, slots=True)
class Narrowed:
    """How to deal with a refused insert: the rows for quarantine, and how to write the others.

    `pieces` are ranges of rows that are accepted only on their own; empty if all others are accepted together. `once`
    means that what views make of the others is written without running them again (`kept.py`).
    """

    refused: tuple[Refused, ...]
    pieces: tuple[tuple[int, int], ...] = ()
    once: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return it in the form in which the log stores it."""
        return asdict(self)

    @classmethod
    def of(cls, kept: Any) -> Self:
        """Return the object from the output of `as_dict`."""
        refused, pieces = (Refused(**one) for one in kept["refused"]), ((a, b) for a, b in kept["pieces"])
        return cls(tuple(refused), tuple(pieces), kept.get("once", False))


def narrow(
    look: Callable[[int, int], tuple[str, str] | None], rows: int, at_once: int = 1
) -> tuple[list[Refused], list[tuple[int, int]]]:
    """Return the rows that are refused on their own, and the ranges of accepted rows.

    `look(first, end)` returns by whom a range is refused and why, or None; up to `at_once` threads call it
    concurrently. All rows together are known to be refused. A few bad rows among many are found with few calls; if most
    are refused, each row is tried once, with at most half as many further calls.
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
    """Split a range into `fan` parts, or into single rows if `fan` is 1."""
    size = 1 if fan == 1 else max(1, -(-(end - first) // fan))
    return [(at, min(end, at + size)) for at in range(first, end, size)]


def _is_dense(refused: int, looked_at: int, size: int) -> bool:
    """Return whether so many pieces are refused that trying each row is cheapest."""
    return (size <= _FEW and refused == looked_at >= _MANY) or (size <= _FAN and 2 * refused > looked_at)
