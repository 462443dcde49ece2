"""The steps that create tables, each with the cheapest source of its rows.

In this order: the previous table's files, unchanged (`move`) or altered (`alter`); rows copied from it (`backfill`);
for a view's target, its SELECT over the rows of its source (`populate`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import TypedDict

from clickpipe.catalog import Live
from clickpipe.columns import is_nullable
from clickpipe.compiler import CompiledProject, table_ddl
from clickpipe.deploy.planning.alter import alterations, writes
from clickpipe.deploy.planning.carry_over import CannotCopy, carry_over
from clickpipe.deploy.planning.physical import Layout, PhysicalView, logical_select
from clickpipe.deploy.planning.step import Alteration, Category, Copy, Feedback, Populate, Step
from clickpipe.diagnostics import Word
from clickpipe.engine import Engine
from clickpipe.project import Column, DataSource, Index
from clickpipe.sql import quote_identifier, quote_literal

_SUMMING = {"AggregatingMergeTree", "SummingMergeTree"}  # engines that merge rows which were grouped separately


class _Extent(TypedDict):
    rows: int
    size: int
    parts: int


class TableSteps:
    """Plans the tables of one project, given the live ones."""

    def __init__(
        self,
        engine: Engine,
        compiled: CompiledProject,
        layout: Layout,
        live: Live | None,
        *,
        allow_destructive: bool = False,
    ) -> None:
        """Compare with `live`, None before the first deployment. `allow_destructive` permits losing values."""
        self._allow_destructive = allow_destructive
        self._engine = engine
        self._compiled = compiled
        self._layout = layout
        self._live = live
        self._alterations: dict[str, tuple[str, ...] | None] = {}
        self._null: dict[str, tuple[tuple[str, str], ...]] = {}

    def plan(self, existing: Collection[str]) -> Iterator[tuple[Step, list[Feedback]]]:
        """Yield a step for each table not in `existing`; tables that feed others come first."""
        tables = self._layout.data_tables
        for name in sorted(tables, key=self._depth):
            if tables[name].name not in existing:
                step, feedback = self._table(name)
                yield replace(step, null=self._null.get(name, ())), feedback
        if self._live is not None:
            for name in self._compiled.data_sources:
                old = self._live.physical.tables.get(f"{name}_quarantine")
                known = name in self._live.compiled.data_sources
                if known and old is not None and self._layout.quarantines[name].name not in existing:
                    yield self._quarantine(self._live, name, old), []

    def _depth(self, name: str) -> int:
        """Return the length of the longest chain of materialized views that leads to a data source."""
        feeding = [v.view.source for v in self._layout.views.values() if v.view.target == name]
        return 1 + max((self._depth(source) for source in feeding if source != name), default=-1)

    def size(self, *tables: str) -> _Extent:
        """Return the total rows, bytes on disk and parts of tables, as keyword arguments of `Step`."""
        rows = size = parts = 0
        for table in tables:
            held = self._engine.storage.extent(table)
            rows, size, parts = rows + held.rows, size + held.size, parts + held.parts
        return {"rows": rows, "size": size, "parts": parts}

    def _table(self, name: str) -> tuple[Step, list[Feedback]]:
        target, after = self._layout.data_tables[name], self._compiled.data_sources[name]
        known = self._live is not None and name in self._live.compiled.data_sources  # and not a quarantine of this name
        old = self._live.physical.tables.get(name) if self._live and known else None
        if self._live is None or old is None:
            if self._fed(self._compiled, name) and not (after.backfill_skip and self._live):
                return self._populated(name, None, "new materialized data")
            return Step(Category.CREATE, name, "new data source", create=(target,)), []
        before = self._live.compiled.data_sources[name]
        if self._keeps_rows(self._live, name):
            return self._kept(self._live, name, old)
        if after.backfill_skip:
            return Step(Category.CREATE, name, "BACKFILL skip: the new table begins empty", create=(target,)), []
        if self._fed(self._compiled, name) and not self._asks_alter(self._live, name):
            return self._populated(name, old, "the view or its target changed")
        backfill = None
        feedback: list[Feedback] = []
        try:
            backfill = carry_over(self._engine, before, after, old)
        except CannotCopy as problem:
            at = self._compiled.project.sources.position(problem.span)
            resource = f"Datasource {name}.datasource"
            feedback = [Feedback("ERROR", resource, str(problem), at.line, at.column)]
        rows = self.size(old)["rows"]
        feedback += self._dropped(name, before, after, old, rows) if backfill is not None else []
        reason = "the table's definition changed"
        return Step(Category.REWRITE, name, reason, create=(target,), backfill=backfill, **self.size(old)), feedback

    def _kept(self, live: Live, name: str, old: str) -> tuple[Step, list[Feedback]]:
        """Return the step that gives a table the previous table's files."""
        target, after = self._layout.data_tables[name], self._compiled.data_sources[name]
        before = live.compiled.data_sources[name]
        size = self.size(old)
        statements = self._alteration(live, name)
        if statements:
            step = Step(
                Category.ALTER,
                name,
                _changed(before, after),
                create=(target,),
                alter=Alteration(old, statements, writes(statements)),
                **size,
            )
        elif not _same(before, after):
            step = Step(Category.ALTER, name, _changed(before, after), create=(target,), move=old, **size)
        else:
            reason = "what feeds it lies elsewhere: its rows are kept"
            step = Step(Category.METADATA, name, reason, create=(target,), move=old, **size)
        return step, self._dropped(name, before, after, old, size["rows"])

    def _dropped(self, name: str, before: DataSource, after: DataSource, old: str, rows: int) -> list[Feedback]:
        """Return feedback on values lost with dropped columns.

        A target's values are not lost, as views make them, nor are those of a column that is NULL in every row.
        """
        gone = [c for c in before.columns if not after.column(c.name)]
        if not gone or after.forward_query is not None or self._fed(self._compiled, name):
            return []
        if not rows:  # yet: acknowledged events may be on their way to the table
            self._null[name] = () if self._allow_destructive else tuple((old, c.name) for c in gone)
            return []
        null = [c for c in gone if _takes_null(c) and not self._engine.storage.has_values(old, c.name)]
        self._null[name] = tuple((old, c.name) for c in null)
        gone = [c for c in gone if c not in null]
        if not gone:
            return []
        names = ", ".join(f"'{c.name}'" for c in gone)
        message = f"The values of {names} in {rows} rows would be lost with the column."
        kept = renamed(before, after)
        if kept:
            message += f" To keep them under the new name, write in {after.file}:\nFORWARD_QUERY >\n    {kept}"
        if self._allow_destructive:
            message = message.replace("would be lost", "are lost")
            return [Feedback("WARNING", f"Datasource {name}.datasource", message)]
        message += "\nTo lose them, use --allow-destructive-operations."
        at = self._compiled.project.sources.position(after.columns[0].span)
        return [Feedback("ERROR", f"Datasource {name}.datasource", message, at.line, at.column)]

    def _populated(self, name: str, old: str | None, reason: str) -> tuple[Step, list[Feedback]]:
        """Return the step that fills a view's target from its sources."""
        target = self._layout.data_tables[name]
        feeding = [v for v in self._layout.views.values() if v.view.target == name]
        read = {v.view.source for v in feeding}
        tables = self._live.physical.tables if self._live else {}
        size = self.size(*(tables[source] for source in sorted(read) if source in tables))
        populate = tuple(self._populate(name, v) for v in feeding)
        step = Step(Category.REBUILD, name, reason, create=(target,), populate=populate, **size)
        lost = _history_lost(name, read, size["rows"], self.size(old)["rows"]) if old else None
        return step, [lost] if lost else []

    def _populate(self, name: str, view: PhysicalView) -> Populate:
        source = self._layout.tables()[view.view.source]
        merges = self._compiled.data_sources[name].engine.name.text in _SUMMING
        return Populate(source, view.select, merges and view.select.count(source) == 1)

    def _quarantine(self, live: Live, name: str, old: str) -> Step:
        """Return the step that creates a quarantine with changed columns and copies the old one's rows."""
        target = self._layout.quarantines[name]
        before, after = live.compiled.data_sources[name], self._compiled.data_sources[name]
        kept = [c.name for c in after.columns if before.column(c.name) is not None]
        kept += ["c__error_column", "c__error", "c__import_id"]
        rows = ", ".join(map(quote_identifier, [*kept, before.quarantine_time]))
        backfill = Copy(old, f"SELECT {rows} FROM {old}", (*kept, after.quarantine_time))
        reason = "the quarantine's columns changed"
        resource = f"{name}_quarantine"
        return Step(Category.METADATA, resource, reason, create=(target,), backfill=backfill, **self.size(old))

    # Which rows stay the same

    def _keeps_rows(self, live: Live, name: str, seen: frozenset[str] = frozenset()) -> bool:
        """Return whether the previous table's files, possibly after an ALTER, hold the new table's rows.

        For a view's target that holds if its views would produce the same rows, or if their pipes say
        DEPLOYMENT_METHOD alter.
        """
        if self._alteration(live, name) is None:
            return False
        if not self._fed(self._compiled, name) or self._asks_alter(live, name):
            return True
        if self._selects(live.compiled, name) != self._selects(self._compiled, name):
            return False
        sources = {v.source for v in self._compiled.views.values() if v.target == name} - seen - {name}
        return all(
            self._keeps_rows(live, source, seen | {name})
            for source in sources
            if self._fed(self._compiled, source) and source in live.compiled.data_sources
        )

    def _fed(self, compiled: CompiledProject, name: str) -> bool:
        return any(view.target == name for view in compiled.views.values())

    def _selects(self, compiled: CompiledProject, name: str) -> list[str]:
        return sorted(logical_select(compiled, view) for view in compiled.views.values() if view.target == name)

    def _asks_alter(self, live: Live, name: str) -> bool:
        """Return whether any of a target's views changed and all that did say DEPLOYMENT_METHOD alter."""
        before = self._selects(live.compiled, name)
        views = [view for view in self._compiled.views.values() if view.target == name]
        changed = [view for view in views if logical_select(self._compiled, view) not in before]
        return bool(changed) and all(view.pipe.deployment_alter for view in changed)

    def _alteration(self, live: Live, name: str) -> tuple[str, ...] | None:
        if name not in self._alterations:
            before, after = live.compiled.data_sources[name], self._compiled.data_sources[name]
            old = live.physical.tables[name]
            same = _same(before, after)
            self._alterations[name] = () if same else alterations(self._engine, before, after, old)
        return self._alterations[name]


def _takes_null(column: Column) -> bool:
    return column.nullable or is_nullable(column.type)


def renamed(before: DataSource, after: DataSource) -> str:
    """Return the FORWARD_QUERY that keeps the values of renamed columns; '' if there are none.

    A new column with the same jsonpath as a dropped one counts as renamed; so does a single new column of the same type
    as a single dropped one.
    """
    gone = [c for c in before.columns if not after.column(c.name)]
    new = [c for c in after.columns if not before.column(c.name)]
    pairs = [(old, now) for old in gone for now in new if now.jsonpath and now.jsonpath == old.jsonpath]
    if not pairs and len(gone) == len(new) == 1 and gone[0].type == new[0].type:
        pairs = [(gone[0], new[0])]
    if not pairs:
        return ""
    values = [
        f"{old.name} AS {now.name}"
        if old.type == now.type
        else f"CAST({old.name}, {quote_literal(now.type)}) AS {now.name}"
        for old, now in pairs
    ]
    return f"SELECT * EXCEPT ({', '.join(c.name for c in gone)}), {', '.join(values)}"


def _changed(before: DataSource, after: DataSource) -> str:
    """Return a description of what changes in a table's definition."""
    found = [f"+{c.name}" for c in after.columns if not before.column(c.name)]
    found += [f"-{c.name}" for c in before.columns if not after.column(c.name)]
    for column in after.columns:
        old = before.column(column.name)
        if old is not None and old.type != column.type:
            found.append(f"{column.name} {old.type} to {column.type}")
        elif old is not None and (_text(old.default), old.codec) != (_text(column.default), column.codec):
            found.append(f"{column.name}'s default or codec")
    if [_index(index) for index in before.indexes] != [_index(index) for index in after.indexes]:
        found.append("indexes")
    for option in sorted({*before.engine.options, *after.engine.options}):
        if before.engine.option(option) != after.engine.option(option):
            found.append(option.replace("_", " ").lower() if option != "TTL" else option)
    if before.engine.name.text != after.engine.name.text:
        found.append(f"engine {before.engine.name.text} to {after.engine.name.text}")
    if not found and [c.name for c in before.columns] != [c.name for c in after.columns]:
        found.append("the order of columns")
    return ", ".join(found) or "its definition is written otherwise"


def _same(before: DataSource, after: DataSource) -> bool:
    return table_ddl(before, "") == table_ddl(after, "")


def _index(index: Index) -> tuple[str, str, str, int]:
    return index.name, index.expression, index.type, index.granularity


def _text(word: Word | None) -> str:
    return word.text if word else ""


def _history_lost(name: str, sources: Collection[str], there: int, rows: int) -> Feedback | None:
    """Return a warning if a target has more rows than the sources it is rebuilt from."""
    if rows <= there:
        return None
    message = (
        f"'{name}' has {rows} rows and is filled anew from {', '.join(sorted(sources))}, which has {there}: "
        "what was made of rows that are gone there (by a TTL?) is lost."
    )
    return Feedback("WARNING", f"Datasource {name}.datasource", message)
