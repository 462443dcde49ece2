"""Fills a deployment's tables with existing rows while new rows arrive.

At the cut, while inserts are paused, each table to be read is snapshotted. From then on views forward new rows to both
deployments, and the snapshots are read without hurry: into a history table next to each new table, which no view reads,
and whose files the new table gets at the end. So history is written only once, and without triggering the views, which
have their own backfill. It is written in groups of partitions, each first into a table of its own, so that a restarted
server does not repeat what was finished.

Where an engine keeps the last of several rows, history is read in the order in which it was written, and put in front
of the new rows while inserts are paused.
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
from clickpipe.deploy.writes import Writes
from clickpipe.engine import IN_ORDER, Engine, Settings, insert_of_select, tagged
from clickpipe.sql import quote_identifier

_CUT, _HISTORY, _PART, _SOME, _WHOLE = "_cut", "_history", "_part", "_some", "_whole"
BESIDE = (_CUT, _HISTORY, _PART, _SOME, _WHOLE)  # suffixes of the temporary tables
_MOVING, _HANDING_ON, _HANDED_ON = "moving", "handing on", "handed on"
_AT_ONCE = 2_000_000  # rows per group: bounds what a stop loses, and what a view's GROUP BY holds in memory


@dataclass(frozen=True, slots=True)
class _Group:
    partitions: tuple[str, ...]
    rows: int


class Backfill:
    """Runs the fills of a plan."""

    def __init__(
        self,
        engine: Engine,
        tables: Tables,
        database: str,
        fills: Sequence[Fill],
        pace: Pace,
    ) -> None:
        """Prepare to run `fills` in the given database, at the given pace; nothing runs yet."""
        self._engine = engine
        self._tables = tables
        self._database = quote_identifier(database)
        self.fills = fills
        self._pace = pace
        self._names = re.compile(rf"{re.escape(self._database)}\.`((?:[^`\\]|\\.)+)`")

    @property
    def can_wait(self) -> bool:
        """Return whether all tables to fill are MergeTrees: only those can share files, and so be filled later."""
        names = {fill.table for fill in self.fills}
        return self._merge_trees(names) == names

    def _merge_trees(self, names: Collection[str]) -> set[str]:
        there = self._engine.storage.tables(self._database.strip("`"))
        return {name for name in names if there.get(name, "").endswith("MergeTree")}

    def cut(self, made: Collection[str]) -> None:
        """Snapshot what will be read; inserts must be paused. `made` are the tables that are new and empty."""
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

    def fill(self, progress: Progress, done: Sequence[str], save: Callable[[list[str]], None], writes: Writes) -> None:
        """Read the snapshots and fill the new tables. Raises EngineError, ClickpipeError.

        `save` stores the progress; `done` is what was last stored before a restart. `writes` may have to wait at the
        end.
        """
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
                            alter(self._engine, history, fill.alter, tagged(self._pace.tag))
                    else:
                        with rows_told(self._engine, progress, told, self._pace.tag):
                            moving = partial(save, [*finished, f"{number}/ {_MOVING}"])
                            self._write(fill, () if whole else group.partitions, moving)
                finished += [f"{number}/{partition}" for partition in group.partitions]
                save(finished)
        save([*finished, _HANDING_ON])
        names = sorted({fill.table for fill in self.fills})
        in_order = self._in_order()
        for name in (name for name in names if name not in in_order):
            self._hand_on(name + _HISTORY, name)
        if in_order:
            with writes.paused():
                writes.require_written()  # other tables would not recognize a segment that comes back
                for name in sorted(in_order):
                    self._put_in_front(name)
        save([_HANDED_ON])
        self._clear()

    def _put_in_front(self, name: str) -> None:
        """Give a table its history, and after that the rows it has already; inserts must be paused."""
        whole = self._table(name + _WHOLE)
        self._make(name + _WHOLE, self._table(name))
        for each in (name + _HISTORY, name):
            self._engine.storage.share(whole, self._table(each))
        self._engine.storage.swap(self._table(name), whole)

    def _in_order(self) -> set[str]:
        """Return the names of the tables in which the order of rows decides which of them is kept."""
        tables = {self._table(fill.table): fill.table for fill in self.fills}
        return {tables[table] for table in self._engine.storage.kept_in_order(list(tables))}

    def _settings(self) -> Settings:
        """Return the settings with which rows keep their order, if it counts; also those that others are made of."""
        return IN_ORDER if self._in_order() else {}

    def _clear(self) -> None:
        """Drop the temporary tables."""
        self._tables.try_drop(name for name in self._tables.existing() if name.endswith(BESIDE))

    @staticmethod
    def can_go_on(done: Sequence[str]) -> bool:
        """Return whether `fill` can resume from `done`: not if it was stopped while new tables received their files."""
        return _HANDING_ON not in done

    def _without_torn(self, done: list[str], save: Callable[[list[str]], None]) -> list[str]:
        """Return `done` without fills of a table that was receiving a group's files at the stop: it starts over."""
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
        """Fill the new tables directly; inserts must be paused and no view may read them. Raises EngineError."""
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
                    settings = {**tagged(self._pace.tag), **self._settings()}
                    self._engine.execute(self._insert(fill, self._table(fill.table), fill.select, settings))

    def _groups(self, fill: Fill, number: int, finished: Collection[str]) -> list[_Group]:
        """Return what is left of a fill as groups of partitions of about `_AT_ONCE` rows, or as one group for all."""
        if not fill.by_partition:
            whole = _Group(("",), 0 if fill.alter else fill.rows)
            return [] if f"{number}/" in finished else [whole]
        (source,) = self._names.findall(fill.source)
        partitions = self._engine.storage.partitions([self._table(source + end) for end in (_CUT, _HISTORY)])
        if not partitions:  # the source is empty, or has no partitions
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
        """Fill some partitions, or all if none are given: first into a table of its own, then share its files."""
        part = fill.table + _PART
        self._make(part, self._table(fill.table))
        existing = self._tables.existing()
        with self._some(fill, partitions, existing) as some:
            select = self._names.sub(lambda match: self._instead(match, existing, some), fill.select)
            settings = {**self._pace.settings, **self._settings()}
            self._engine.execute(self._insert(fill, self._table(part), select, settings))
        moving()
        self._hand_on(part, fill.table + _HISTORY)
        self._tables.try_drop([part])

    def _make(self, name: str, like: str) -> None:
        """Create an empty table, replacing one that a stopped server left."""
        if name in self._tables.existing():
            self._tables.drop([name])
        self._engine.storage.create_like(self._table(name), like)

    def _instead(self, match: re.Match[str], existing: Collection[str], some: Mapping[str, str]) -> str:
        """Return the table to read instead of a live one: its selected partitions, its new history or its snapshot."""
        if match[1] in some:
            return self._table(some[match[1]])
        for ending in (_HISTORY, _CUT):
            if match[1] + ending in existing:
                return self._table(match[1] + ending)
        return match[0]

    @contextmanager
    def _some(self, fill: Fill, partitions: Sequence[str], existing: Collection[str]) -> Iterator[Mapping[str, str]]:
        """Create a table with only these partitions of the source; yield source name → its name."""
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
