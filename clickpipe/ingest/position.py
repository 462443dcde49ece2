"""Positions of sources whose rows are numbered: offsets of a Kafka partition, parts of a file.

A request carries the position after its rows. It is stored in the log with them, and in the catalog once they are in
the table, before the log drops them. So after a restart a source continues after everything acknowledged, and nothing
is read twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import msgspec

_BEHIND = "\n"  # separates import id and position in a record of the log


@dataclass(frozen=True, slots=True)
class Position:
    """The next number for each partition in a request, for a named source.

    Numbers only grow; a source that starts over needs another name.
    """

    source: str
    next: Mapping[str, int]


Positions = Mapping[str, Mapping[str, int]]  # by source and partition


def record_name(import_id: str, position: Position | None) -> str:
    """Return the name of a request's record in the log."""
    return import_id if position is None else f"{import_id}{_BEHIND}{msgspec.json.encode(position).decode()}"


def read_name(name: str) -> tuple[str, Position | None]:
    """Parse a record's name into import id and position. Raises msgspec.DecodeError if it is malformed."""
    import_id, _, position = name.partition(_BEHIND)
    return import_id, msgspec.json.decode(position, type=Position) if position else None


def furthest(found: Iterable[Position | None], known: Positions = MappingProxyType({})) -> Positions:
    """Return the furthest position of each source, over `found` and `known`."""
    positions = known
    for position in found:
        if position is not None:
            before = positions.get(position.source, {})
            moved = {part: max(number, before.get(part, number)) for part, number in position.next.items()}
            positions = {**positions, position.source: {**before, **moved}}
    return positions
