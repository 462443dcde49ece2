"""What fills new tables, as a list that outlives the process: the steps of a plan come down to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from clickpipe.deploy.planning.step import Step


@dataclass(frozen=True, slots=True)
class Fill:
    """Rows for the table `table`: of a SELECT that reads `source`, or the files of `source`, altered.

    `columns` are those that the SELECT gives; none: they are asked for. `by_partition`: the partitions of `source`,
    one after another, give the same.
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
        """Return what is being done, in words."""
        if self.alter:
            return f"altering {self.resource}, {self.rows} rows"
        if self.columns:
            return f"copying {self.rows} rows of {self.resource}"
        return f"filling {self.resource} from {self.rows} rows"

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Fill:
        """Return what `as_dict` gave."""
        lists = {name: tuple(kept[name]) for name in ("columns", "alter")}
        return cls(**{**kept, **lists})


def fills(steps: Iterable[Step]) -> list[Fill]:
    """Return what fills the tables of a plan, in its order."""
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
