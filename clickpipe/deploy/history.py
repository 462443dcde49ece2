"""Rows that are there already, filled into the tables of a deployment while new ones arrive.

At the cut, a moment in which no row is written, each table that is read gets a copy of its files as they are. From
then on new rows reach both deployments by views, and the copies are read at leisure: into a table beside each new one,
which no view reads, and whose files are given to the new one at last. So history is written once, and past the views
that make their own rows of it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Sequence

from clickpipe.deploy.plan import Populate, Step
from clickpipe.deploy.tables import Progress, Tables
from clickpipe.engine import Engine, EngineError
from clickpipe.sql import quote_identifier

_LOGGER = logging.getLogger(__name__)
_CUT, _HISTORY = "_cut", "_history"


class History:
    """The rows that the steps of a plan fill in."""

    def __init__(self, engine: Engine, tables: Tables, database: str, steps: Sequence[Step]) -> None:
        """Know what is to be filled, and what is read for it."""
        self._engine = engine
        self._tables = tables
        self._database = quote_identifier(database)
        self._fills: list[tuple[Step, str | Populate]] = []
        for step in steps:
            self._fills += [(step, step.backfill)] if step.backfill else []
            self._fills += [(step, populate) for populate in step.populate]
        self._made = {item.name for step in steps for item in step.create if not item.is_view}
        self._moved = {item.name for step in steps if step.move for item in step.create}
        self._names = re.compile(rf"{re.escape(self._database)}\.`((?:[^`\\]|\\.)+)`")

    @property
    def can_wait(self) -> bool:
        """Tell whether files can be handed on: all that is filled is of the MergeTree family."""
        names = {item.name for step, _ in self._fills for item in step.create if not item.is_view}
        return self._merge_trees(names) == names

    def _merge_trees(self, names: Collection[str]) -> set[str]:
        sql = "SELECT name FROM system.tables WHERE database = {database:String} AND engine LIKE '%MergeTree'"
        database = self._database.strip("`")
        found = self._engine.execute(sql, {"database": database}, output="TSVRaw").body.decode().split("\n")
        return set(found) & set(names)

    def cut(self) -> None:
        """Keep what is read as it is now; no row is written meanwhile."""
        read = {name for _, fill in self._fills for name in self._names.findall(_text(fill))}
        for name in sorted(self._merge_trees(read - (self._made - self._moved))):
            self._engine.execute(f"CREATE TABLE {self._table(name + _CUT)} AS {self._table(name)}")
            self._hand_on(name, name + _CUT)
        for name in sorted(read & (self._made - self._moved)):
            self._engine.execute(f"CREATE TABLE {self._table(name + _HISTORY)} AS {self._table(name)}")

    def fill(self, progress: Progress) -> None:
        """Read it, and give it to the new tables. Raises EngineError."""
        existing = self._tables.existing()

        def instead(match: re.Match[str]) -> str:
            for ending in (_HISTORY, _CUT):
                if match[1] + ending in existing:
                    return self._table(match[1] + ending)
            return match[0]

        for step, fill in self._fills:
            progress(_told(step, fill))
            if isinstance(fill, str):
                self._copy(step, self._names.sub(instead, fill), progress)
            else:
                self._run(fill, lambda text: self._names.sub(instead, text))
        filled = {item.name for step, _ in self._fills for item in step.create if not item.is_view}
        for name in sorted(filled):
            self._hand_on(name + _HISTORY, name)
        try:
            self._tables.drop(name for name in existing if name.endswith((_CUT, _HISTORY)))
        except EngineError:  # the next deployment removes them, or the next start
            _LOGGER.exception("could not remove what history was read from")

    def fill_now(self, progress: Progress) -> None:
        """Fill the new tables as they are, while no row is written and no view reads them. Raises EngineError."""
        for step, fill in self._fills:
            progress(_told(step, fill))
            self._run(fill, lambda text: text)

    def _copy(self, step: Step, statement: str, progress: Progress) -> None:
        """Copy rows partition by partition; the statement ends with the table that it reads."""
        name = self._names.findall(statement)[-1]
        if not name.endswith(_CUT):  # it has no partitions
            self._engine.execute(statement)
            return
        sql = (
            "SELECT DISTINCT partition_id FROM system.parts "
            "WHERE active AND database = {d:String} AND table = {t:String} ORDER BY partition_id"
        )
        params = {"d": self._database.strip("`"), "t": name}
        parts = self._engine.execute(sql, params, output="TSVRaw").body.decode().split()
        for number, part in enumerate(parts, 1):
            progress(f"{_told(step, statement)}: partition {number} of {len(parts)}")
            self._engine.execute(f"{statement} WHERE _partition_id = {{partition:String}}", {"partition": part})

    def _run(self, fill: str | Populate, placed: Callable[[str], str]) -> None:
        if isinstance(fill, str):
            self._engine.execute(placed(fill))
            return
        select = placed(fill.select)
        columns = ", ".join(quote_identifier(c.name) for c in self._engine.describe(select))
        self._engine.execute(f"INSERT INTO {placed(fill.into)} ({columns})\n{select}")

    def _hand_on(self, source: str, target: str) -> None:
        self._engine.execute(f"ALTER TABLE {self._table(target)} ATTACH PARTITION ALL FROM {self._table(source)}")

    def _table(self, name: str) -> str:
        return f"{self._database}.{quote_identifier(name)}"


def _text(fill: str | Populate) -> str:
    return fill if isinstance(fill, str) else f"{fill.into}\n{fill.select}"


def _told(step: Step, fill: str | Populate) -> str:
    if isinstance(fill, str):
        return f"copying {step.rows} rows of {step.resource}"
    return f"filling {step.resource} from {step.rows} rows"
