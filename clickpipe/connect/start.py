"""Where reading begins when a partition is given to this server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Committed:
    """What the group has committed of a partition: the next offset, and who did, if it says so."""

    offset: int
    by: str = ""


def begin(stored: int | None, committed: Committed | None, own: str) -> int | None:
    """Return the offset to begin at; None where neither this server nor its group has read the partition.

    What is stored counts: it is where the rows end. When another member of the group, or a person, has committed more
    since, that counts: those rows are elsewhere, or are not wanted. What this server itself (`own`) had committed and
    has not stored is read again: it was restored from a copy of its folder.
    """
    if stored is None:
        return None if committed is None else committed.offset
    if committed is not None and committed.by != own:
        return max(stored, committed.offset)
    return stored
