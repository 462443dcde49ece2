"""Rows that are there already, filled into the tables of a deployment while new ones arrive.

At the cut, a moment in which no row is written, each table that is read gets a copy of its files as they are. From
then on new rows reach both deployments by views, and the copies are read at leisure: into a table beside each new one,
which no view reads, and whose files are given to the new one at last. So history is written once, and past the views
that make their own rows of it. It is written some partitions after others, first on their own: what a server that was
stopped had done, is not done again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from clickpipe.deploy.backfill.fills import Fill
from clickpipe.deploy.backfill.pace import Pace
from clickpipe.deploy.backfill.progress import parts_told, rows_told
from clickpipe.deploy.planning.alter import alter
from clickpipe.deploy.tables import Progress, Tables
from clickpipe.engine import Engine, Settings, insert_of_select
from clickpipe.sql import quote_identifier

_CUT, _HISTORY, _PART, _SOME = "_cut", "_history", "_part", "_some"
BESIDE = (_CUT, _HISTORY, _PART, _SOME)  # endings of tables that are there while history is filled
_MOVING, _HANDING_ON, _HANDED_ON = "moving", "handing on", "handed on"
_AT_ONCE = 2_000_000  # rows: what is lost by a stop, and what a view's GROUP BY holds in memory


@dataclass(frozen=True, slots=True)
class _Group:
    partitions: tuple[str, ...]
    rows: int


class Backfill:
    """The rows that the steps of a plan fill in."""

    def __init__(
        self,
        engine: Engine,
        tables: Tables,
        database: str,
        fills: Sequence[Fill],
        pace: Pace,
    ) -> None:
        """Know what is to be filled, and how fast."""
        self._engine = engine
        self._tables = tables
        self._database = quote_identifier(database)
        self.fills = fills
        self._pace = pace
        self._names = re.compile(rf"{re.escape(self._database)}\.`((?:[^`\\]|\\.)+)`")

    @property
    def can_wait(self) -> bool:
        """Tell whether files can be handed on: all that is filled is of the MergeTree family."""
        names = {fill.table for fill in self.fills}
        return self._merge_trees(names) == names

    def _merge_trees(self, names: Collection[str]) -> set[str]:
        there = self._engine.storage.tables(self._database.strip("`"))
        return {name for name in names if there.get(name, "").endswith("MergeTree")}

    def cut(self, made: Collection[str]) -> None:
        """Keep what is read as it is now; no row is written meanwhile. `made` are tables that are new and empty."""
        altered = {fill.table for fill in self.fills if fill.alter}
        for fill in self.fills:
            if fill.alter:
                (source,) = self._names.findall(fill.source)
                self._engine.storage.create_like(self._table(fill.table + _HISTORY), fill.source)
                self._hand_on(source, fill.table + _HISTORY)
        read = {name for fill in self.fills if not fill.alter for name in self._names.findall(fill.select)}
        for name in sorted(self._merge_trees(read - set(made))):
            self._engine.storage.snapshot(self._table(name + _CUT), self._table(name))
        for name in sorted(({fill.table for fill in self.fills} | (read & set(made))) - altered):
            self._engine.storage.create_like(self._table(name + _HISTORY), self._table(name))

    def fill(self, progress: Progress, done: Sequence[str], save: Callable[[list[str]], None]) -> None:
        """Read it, and give it to the new tables; `done` is what `save` was told before a stop. Raises EngineError."""
        if _HANDED_ON in done:
            self._clear()
            return
        finished = self._without_torn(list(done), save)
        for number, fill in enumerate(self.fills):
            groups = self._groups(fill, number, finished)
            whole = len(groups) == 1 and not any(key.startswith(f"{number}/") for key in finished)
            for count, group in enumerate(groups, 1):
                told = fill.told + (f", part {count} of {len(groups)}" if len(groups) > 1 else "")
                progress(told)
                with self._pace.of(group.rows):
                    if fill.alter:
                        history = self._table(fill.table + _HISTORY)
                        with parts_told(self._engine, progress, told, history):
                            alter(self._engine, history, fill.alter, {"log_comment": self._pace.tag})
                    else:
                        with rows_told(self._engine, progress, told, self._pace.tag):
                            moving = partial(save, [*finished, f"{number}/ {_MOVING}"])
                            self._write(fill, () if whole else group.partitions, moving)
                finished += [f"{number}/{partition}" for partition in group.partitions]
                save(finished)
        save([*finished, _HANDING_ON])
        for name in sorted({fill.table for fill in self.fills}):
            self._hand_on(name + _HISTORY, name)
        save([_HANDED_ON])
        self._clear()

    def _clear(self) -> None:
        """Remove what history was read from, and written to first."""
        self._tables.try_drop(name for name in self._tables.existing() if name.endswith(BESIDE))

    @staticmethod
    def can_go_on(done: Sequence[str]) -> bool:
        """Tell whether `fill` may go on after a stop: not when files were being given to the new tables."""
        return _HANDING_ON not in done

    def _without_torn(self, done: list[str], save: Callable[[list[str]], None]) -> list[str]:
        """Return what is done, after a stop while files of a part were given on: that table is begun anew."""
        torn = next((key.split("/")[0] for key in done if key.endswith(_MOVING)), None)
        if torn is None:
            return done
        table = self.fills[int(torn)].table
        self._engine.storage.truncate(self._table(table + _HISTORY))
        again = {str(number) for number, fill in enumerate(self.fills) if fill.table == table}
        done = [key for key in done if key.split("/")[0] not in again]
        save(done)
        return done

    def fill_now(self, progress: Progress) -> None:
        """Fill the new tables as they are, while no row is written and no view reads them. Raises EngineError."""
        for fill in self.fills:
            progress(fill.told)
            if fill.alter:
                history = self._table(fill.table + _HISTORY)
                self._engine.storage.snapshot(history, fill.source)
                alter(self._engine, history, fill.alter)
                self._hand_on(fill.table + _HISTORY, fill.table)
                self._tables.drop([fill.table + _HISTORY])
            else:
                with self._pace.of(0):
                    settings = {"log_comment": self._pace.tag}
                    self._engine.execute(self._insert(fill, self._table(fill.table), fill.select, settings))

    def _groups(self, fill: Fill, number: int, finished: Collection[str]) -> list[_Group]:
        """Return what is left to be filled in, at once each: partitions until there are enough rows, or all."""
        if not fill.by_partition:
            whole = _Group(("",), 0 if fill.alter else fill.rows)
            return [] if f"{number}/" in finished else [whole]
        (source,) = self._names.findall(fill.source)
        partitions = self._engine.storage.partitions([self._table(source + end) for end in (_CUT, _HISTORY)])
        if not partitions:  # nothing is there, or a table that has none
            return [] if f"{number}/" in finished else [_Group(("",), fill.rows)]
        groups: list[_Group] = []
        for partition, rows in partitions.items():
            if f"{number}/{partition}" in finished:
                continue
            last = groups[-1] if groups and groups[-1].rows + rows <= _AT_ONCE else None
            if last is not None:
                groups[-1] = _Group((*last.partitions, partition), last.rows + rows)
            else:
                groups.append(_Group((partition,), rows))
        return groups

    def _write(self, fill: Fill, partitions: Sequence[str], moving: Callable[[], None]) -> None:
        """Fill in some partitions, or (none) all: into a table of its own, whose files are given on then."""
        part = fill.table + _PART
        self._make(part, self._table(fill.table))
        existing = self._tables.existing()
        with self._some(fill, partitions, existing) as some:
            select = self._names.sub(lambda match: self._instead(match, existing, some), fill.select)
            self._engine.execute(self._insert(fill, self._table(part), select, self._pace.settings))
        moving()
        self._hand_on(part, fill.table + _HISTORY)
        self._tables.try_drop([part])

    def _make(self, name: str, like: str) -> None:
        """Make an empty table; there may be one that a stopped server left."""
        if name in self._tables.existing():
            self._tables.drop([name])
        self._engine.storage.create_like(self._table(name), like)

    def _instead(self, match: re.Match[str], existing: Collection[str], some: Mapping[str, str]) -> str:
        """Return what is read for a table: some partitions of it, its rows at the cut, or what it will get of them."""
        if match[1] in some:
            return self._table(some[match[1]])
        for ending in (_HISTORY, _CUT):
            if match[1] + ending in existing:
                return self._table(match[1] + ending)
        return match[0]

    @contextmanager
    def _some(self, fill: Fill, partitions: Sequence[str], existing: Collection[str]) -> Iterator[Mapping[str, str]]:
        """Have a table with some partitions of what is filled in; give its name by that of the whole."""
        if not partitions:
            yield {}
            return
        (source,) = self._names.findall(fill.source)
        whole = next(source + ending for ending in (_HISTORY, _CUT) if source + ending in existing)
        some = source + _SOME
        self._make(some, self._table(whole))
        for partition in partitions:
            self._engine.storage.share(self._table(some), self._table(whole), partition)
        yield {source: some}
        self._tables.try_drop([some])

    def _insert(self, fill: Fill, into: str, select: str, settings: Settings) -> str:
        columns = fill.columns or tuple(c.name for c in self._engine.describe(select))
        return insert_of_select(into, ", ".join(map(quote_identifier, columns)), select, settings)

    def _hand_on(self, source: str, target: str) -> None:
        self._engine.storage.share(self._table(target), self._table(source))

    def _table(self, name: str) -> str:
        return f"{self._database}.{quote_identifier(name)}"
