"""Where a source stands whose rows have numbers of their own: a Kafka partition's offsets, the parts of a file.

A request names the position behind its rows. It is in the log with them, and in the catalog when they are in the table,
before the log forgets them: after a stop a source reads on behind all that was acknowledged, and nothing comes twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import msgspec

_BEHIND = "\n"  # what parts an import id from a position in a record of the log


@dataclass(frozen=True, slots=True)
class Position:
    """The next number of each partition that a request had rows of, in a source of some name.

    Numbers only grow; a source that begins anew is one of another name.
    """

    source: str
    next: Mapping[str, int]


Positions = Mapping[str, Mapping[str, int]]  # by source and partition


def record_name(import_id: str, position: Position | None) -> str:
    """Return the name of a request's record in the log."""
    return import_id if position is None else f"{import_id}{_BEHIND}{msgspec.json.encode(position).decode()}"


def read_name(name: str) -> tuple[str, Position | None]:
    """Return import id and position of a record. Raises msgspec.DecodeError for what `record_name` does not write."""
    import_id, _, position = name.partition(_BEHIND)
    return import_id, msgspec.json.decode(position, type=Position) if position else None


def furthest(found: Iterable[Position | None], known: Positions = MappingProxyType({})) -> Positions:
    """Return how far each source is by all positions together, and what is known already."""
    positions = known
    for position in found:
        if position is not None:
            before = positions.get(position.source, {})
            moved = {part: max(number, before.get(part, number)) for part, number in position.next.items()}
            positions = {**positions, position.source: {**before, **moved}}
    return positions
