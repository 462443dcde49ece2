"""What a deployment changes, before anything is touched: a list of typed steps, and who is new, changed, gone."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, TypedDict

from clickpipe.catalog import Live
from clickpipe.compiler import CompiledProject
from clickpipe.deploy.backfill import carry_over, move_rows
from clickpipe.deploy.physical import Layout, PhysicalObject, definitions
from clickpipe.engine import Engine
from clickpipe.project import PipeKind
from clickpipe.sql import quote_identifier
from clickpipe.template import Secrets, no_secret

_SECRET = re.compile(r"""\btb_(?:secret|var)\(\s*(['"])(\w+)\1\s*\)""")


_ROWS_A_SECOND = 500_000  # what a machine with two cores copies of events of a dozen columns, and a little less


class _Extent(TypedDict):
    rows: int
    size: int


class Category(StrEnum):
    """How much a step touches."""

    METADATA = "metadata"
    CREATE = "create"
    REWRITE = "rewrite with backfill"
    REBUILD = "view rebuild"
    DESTRUCTIVE = "destructive"


@dataclass(frozen=True, slots=True)
class Populate:
    """A view's SELECT over the rows that are there, into its target: by the names of its columns, as a view writes."""

    into: str
    select: str


@dataclass(frozen=True, slots=True)
class Step:
    """One change: its category, the resource, the reason in words, the rows it reads and their size on disk (bytes).

    `backfill` and `populate` fill what it makes, `move` gives it the files of the table before.
    """

    category: Category
    resource: str
    reason: str
    rows: int = 0
    create: tuple[PhysicalObject, ...] = ()
    backfill: str = ""
    populate: tuple[Populate, ...] = ()
    move: str = ""
    size: int = 0

    @property
    def seconds(self) -> float:
        """Return about how long it takes to copy or fill; while that lasts, rows go on being taken."""
        return round(self.rows / _ROWS_A_SECOND, 1) if self.backfill or self.populate else 0.0


@dataclass(frozen=True, slots=True)
class Changes:
    """Resource names by what happens to them."""

    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Feedback:
    """A remark on the plan; level ERROR stops it."""

    level: str
    resource: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A deployment as planned. `steps` are in the order they are applied."""

    steps: tuple[Step, ...]
    data_sources: Changes
    pipes: Changes
    feedback: tuple[Feedback, ...]
    layout: Layout = field(repr=False)

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing at all changes."""
        return not self.steps and self.data_sources == self.pipes == Changes()

    @property
    def errors(self) -> tuple[Feedback, ...]:
        """Return what stands in the way."""
        return tuple(f for f in self.feedback if f.level == "ERROR")

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as the deployment routes send it."""
        return {
            "new_datasource_names": list(self.data_sources.new),
            "changed_datasource_names": list(self.data_sources.changed),
            "deleted_datasource_names": list(self.data_sources.deleted),
            "new_pipe_names": list(self.pipes.new),
            "changed_pipe_names": list(self.pipes.changed),
            "deleted_pipe_names": list(self.pipes.deleted),
            "feedback": [{"level": f.level, "resource": f.resource, "message": f.message} for f in self.feedback],
            "steps": [
                {
                    "category": s.category.value,
                    "resource": s.resource,
                    "reason": s.reason,
                    "rows": s.rows,
                    "bytes": s.size,
                    "seconds": s.seconds,
                }
                for s in self.steps
            ],
        }


def make_plan(
    engine: Engine,
    compiled: CompiledProject,
    layout: Layout,
    live: Live | None,
    *,
    allow_destructive: bool,
    secret: Secrets = no_secret,
) -> Plan:
    """Compare a compiled project with what is live. Reads row counts; changes nothing.

    `secret` tells which secrets there are: those that are missing are remarked on.
    """
    old_texts = dict(live.compiled.project.files) if live else {}
    sources = _changes(old_texts, compiled.project.files, ".datasource")
    pipes = _changes(old_texts, compiled.project.files, ".pipe")
    feedback: list[Feedback] = []
    steps: list[Step] = []
    existing = set(live.physical.objects) if live else set()  # what else lies there is half made, and goes
    before = definitions(live.compiled) if live else {}
    for name in sorted(layout.data_tables, key=lambda n: _depth(layout, n)):
        if layout.data_tables[name].name not in existing:
            step, problem = _table_step(engine, compiled, layout, live, before, name)
            steps.append(step)
            feedback += [problem] if problem else []
    moved = [n for n in compiled.data_sources if live and f"{n}_quarantine" in live.physical.tables]
    moved = [n for n in moved if layout.quarantines[n].name not in existing]
    steps += [_quarantine_step(engine, compiled, layout, live, name) for name in moved if live]
    made = {item.name for step in steps for item in step.create}
    rest = [o for o in layout.objects() if o.name not in existing | made]
    if rest:
        steps.append(Step(Category.METADATA, "workspace", "quarantines and views", create=tuple(rest)))
    for name in sources.deleted:
        size = _size(engine, *([live.physical.tables[name]] if live and name in live.physical.tables else []))
        steps.append(Step(Category.DESTRUCTIVE, name, "the data source is no longer in the project", **size))
        if not allow_destructive:
            message = (
                f"The data source '{name}' ({size['rows']} rows) would be deleted. Use --allow-destructive-operations."
            )
            feedback.append(Feedback("ERROR", f"Datasource {name}.datasource", message))
    feedback += _remarks(compiled, {step.resource for step in steps})
    feedback += _missing_secrets(compiled, secret)
    for diagnostic in compiled.diagnostics:
        feedback.append(Feedback("WARNING", diagnostic.span.file, f"{diagnostic.message}. {diagnostic.hint}".strip()))
    return Plan(tuple(steps), sources, pipes, tuple(feedback), layout)


def _remarks(compiled: CompiledProject, changing: Collection[str]) -> Iterator[Feedback]:
    """Yield what an author should know of files that do not do what they say, or do no longer."""
    for source in compiled.data_sources.values():
        resource = f"Datasource {source.name}.datasource"
        if source.connector:
            yield Feedback("INFO", resource, "The connector is checked, but clickpipe does not fetch data by it yet.")
        if source.forward_query is not None and source.name not in changing:
            yield Feedback("WARNING", resource, "FORWARD_QUERY has no use any more: remove it.")
    for pipe in compiled.project.pipes.values():
        if pipe.kind is PipeKind.SINK:
            yield Feedback("INFO", f"Pipe {pipe.name}.pipe", "The sink is checked, but clickpipe does not run it yet.")


def _missing_secrets(compiled: CompiledProject, secret: Secrets) -> Iterator[Feedback]:
    """Yield what calls would fail for: secrets without a default that nobody has set."""
    for pipe in compiled.project.pipes.values():
        asked = {name for node in pipe.nodes for _, name in _SECRET.findall(node.program.source.text)}
        for name in sorted(asked):
            if secret(name) is None:
                message = f"The secret '{name}' is not set: calls fail until you `clickpipe secret set {name}`."
                yield Feedback("WARNING", f"Pipe {pipe.name}.pipe", message)


def _depth(layout: Layout, name: str) -> int:
    """Return how many materialized views lie before a data source: what feeds others is filled first."""
    feeding = [v.view.source for v in layout.views.values() if v.view.target == name and v.view.source != name]
    return 1 + max((_depth(layout, source) for source in feeding), default=-1)


def _changes(old: Mapping[str, str], new: Mapping[str, str], ending: str) -> Changes:
    before = {PurePosixPath(f).stem: text for f, text in old.items() if f.endswith(ending)}
    after = {PurePosixPath(f).stem: text for f, text in new.items() if f.endswith(ending)}
    return Changes(
        tuple(sorted(after.keys() - before.keys())),
        tuple(sorted(name for name in after.keys() & before.keys() if after[name] != before[name])),
        tuple(sorted(before.keys() - after.keys())),
    )


def existing_objects(engine: Engine, database: str) -> set[str]:
    """Return the names of all tables and views in a database."""
    sql = "SELECT name FROM system.tables WHERE database = {database:String}"
    body = engine.execute(sql, {"database": database}, output="JSONCompact").body
    return {row[0] for row in json.loads(body)["data"]}


def _size(engine: Engine, *tables: str) -> _Extent:
    """Return the rows of tables, and their bytes on disk, as a step has them."""
    rows = size = 0
    for table in tables:
        rows += int(json.loads(engine.execute(f"SELECT count() FROM {table}", output="JSONCompact").body)["data"][0][0])
        database, name = (part.strip("`") for part in table.split(".", 1))
        sql = (
            "SELECT sum(bytes_on_disk) FROM system.parts "
            "WHERE active AND database = {database:String} AND table = {name:String}"
        )
        size += int(engine.execute(sql, {"database": database, "name": name}, output="TSV").body)
    return {"rows": rows, "size": size}


def _quarantine_step(engine: Engine, compiled: CompiledProject, layout: Layout, live: Live, name: str) -> Step:
    """Return the step that makes a quarantine with other columns, with the rows of the one before."""
    target, old = layout.quarantines[name], live.physical.tables[f"{name}_quarantine"]
    before, after = live.compiled.data_sources[name], compiled.data_sources[name]
    kept = [quote_identifier(c.name) for c in after.columns if before.column(c.name) is not None]
    kept += ["c__error_column", "c__error", "c__import_id"]
    into = ", ".join([*kept, after.quarantine_time])
    rows = ", ".join([*kept, before.quarantine_time])
    backfill = f"INSERT INTO {layout.qualified(target.name)} ({into}) SELECT {rows} FROM {old}"
    reason = "the quarantine's columns changed"
    return Step(
        Category.METADATA, f"{name}_quarantine", reason, create=(target,), backfill=backfill, **_size(engine, old)
    )


def _history_lost(name: str, sources: Collection[str], there: int, rows: int) -> Feedback | None:
    """Return a warning when a target has more rows than what it is filled anew from."""
    if rows <= there:
        return None
    message = (
        f"'{name}' has {rows} rows and is filled anew from {', '.join(sorted(sources))}, which has {there}: "
        "what was made of rows that are gone there (by a TTL?) is lost."
    )
    return Feedback("WARNING", f"Datasource {name}.datasource", message)


def _table_step(
    engine: Engine,
    compiled: CompiledProject,
    layout: Layout,
    live: Live | None,
    definitions_before: Mapping[str, str],
    name: str,
) -> tuple[Step, Feedback | None]:
    """Return the step that makes a data source's new table, with its rows from the old one or its views."""
    target = layout.data_tables[name]
    source = compiled.data_sources[name]
    feeding = [v for v in layout.views.values() if v.view.target == name]
    if source.backfill_skip and live is not None:
        return Step(Category.CREATE, name, "BACKFILL skip: the new table begins empty", create=(target,)), None
    old = live.physical.tables.get(name) if live else None
    if live is not None and old is not None and definitions_before.get(name) == layout.definitions[name]:
        move = move_rows(source, old, layout.qualified(target.name))
        reason = "what feeds it lies elsewhere: its rows are kept"
        return Step(Category.METADATA, name, reason, create=(target,), move=move, **_size(engine, old)), None
    if feeding:
        into = layout.qualified(target.name)
        populate = tuple(Populate(into, v.select) for v in feeding)
        read = {v.view.source for v in feeding}
        size = _size(engine, *(live.physical.tables[s] for s in sorted(read) if live and s in live.physical.tables))
        reason = (
            "new materialized data"
            if not live or name not in live.physical.tables
            else "the view or its target changed"
        )
        step = Step(Category.REBUILD, name, reason, create=(target,), populate=populate, **size)
        return step, _history_lost(name, read, size["rows"], _size(engine, old)["rows"] if old else 0)
    if live is None or old is None:
        return Step(Category.CREATE, name, "new data source", create=(target,)), None
    before = live.compiled.data_sources[name]
    backfill, problem = carry_over(engine, before, source, old, layout.qualified(target.name))
    feedback = Feedback("ERROR", f"Datasource {name}.datasource", problem) if problem else None
    reason = "the table's definition changed"
    step = Step(Category.REWRITE, name, reason, create=(target,), backfill=backfill, **_size(engine, old))
    return step, feedback
