"""Where to start reading a partition that was assigned to this server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Committed:
    """The group's committed offset of a partition, and who committed it, if known."""

    offset: int
    by: str = ""


def begin(stored: int | None, committed: Committed | None, own: str) -> int | None:
    """Return the offset to start at; None if neither this server nor its group has read the partition.

    The stored offset wins, because it is where the rows end. A later commit by another member or by a person wins over
    it: those rows are elsewhere, or not wanted. A later commit by this server itself (`own`) does not: its folder was
    restored from a backup, so the messages are read again.
    """
    if stored is None:
        return None if committed is None else committed.offset
    if committed is not None and committed.by != own:
        return max(stored, committed.offset)
    return stored
