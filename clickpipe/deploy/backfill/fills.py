"""A plan's backfills as a list that can be stored, so that they can be resumed after a restart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from clickpipe.deploy.planning.step import Step


@dataclass(frozen=True, slots=True)
class Fill:
    """Fills the table `table` from `source`: with the rows of a SELECT, or with its files, altered.

    `columns` are the SELECT's columns; if empty, ClickHouse is asked. `by_partition` means that reading the partitions
    of `source` one after the other gives the same result.
    """

    table: str
    resource: str
    rows: int
    source: str
    select: str = ""
    columns: tuple[str, ...] = ()
    alter: tuple[str, ...] = ()
    by_partition: bool = False

    @property
    def told(self) -> str:
        """Return a description for progress messages."""
        if self.alter:
            return f"altering {self.resource}, {self.rows} rows"
        if self.columns:
            return f"copying {self.rows} rows of {self.resource}"
        return f"filling {self.resource} from {self.rows} rows"

    def as_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Fill:
        """Restore it from what `as_dict` returned."""
        lists = {name: tuple(kept[name]) for name in ("columns", "alter")}
        return cls(**{**kept, **lists})


def fills(steps: Iterable[Step]) -> list[Fill]:
    """Return the fills of a plan's steps, in order."""
    found = []
    for step in steps:
        for table in (item.name for item in step.create if not item.is_view):
            if step.backfill is not None:
                copy = step.backfill
                found.append(Fill(table, step.resource, step.rows, copy.source, copy.select, copy.columns, (), True))
            if step.alter is not None:
                source, statements = step.alter.source, step.alter.statements
                found.append(Fill(table, step.resource, step.rows, source, alter=statements))
            found += [
                Fill(table, step.resource, step.rows, view.source, view.select, by_partition=view.by_partition)
                for view in step.populate
            ]
    return found
