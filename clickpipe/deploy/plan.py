"""What a deployment changes, before anything is touched: a list of typed steps, and who is new, changed, gone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from clickpipe.catalog import Live
from clickpipe.compiler import CompiledProject
from clickpipe.deploy.physical import Layout, PhysicalObject
from clickpipe.engine import Engine, EngineError
from clickpipe.project import DataSource
from clickpipe.sql import quote_identifier

_LOW_CARDINALITY = re.compile(r"^LowCardinality\((.*)\)$", re.DOTALL)
_NULLABLE = re.compile(r"^(?:LowCardinality\(|SimpleAggregateFunction\(\s*\w+\s*,\s*)?Nullable\(")
_CONTEXT = re.compile(r": (?:while executing|In scope) |\n")


class Category(StrEnum):
    """How much a step touches."""

    METADATA = "metadata"
    CREATE = "create"
    REWRITE = "rewrite with backfill"
    REBUILD = "view rebuild"
    DESTRUCTIVE = "destructive"


@dataclass(frozen=True, slots=True)
class Step:
    """One change: its category, the resource, the reason in words, and the rows it reads."""

    category: Category
    resource: str
    reason: str
    rows: int = 0
    create: tuple[PhysicalObject, ...] = ()
    backfill: str = ""
    populate: tuple[str, ...] = ()


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
                {"category": s.category.value, "resource": s.resource, "reason": s.reason, "rows": s.rows}
                for s in self.steps
            ],
        }


def make_plan(
    engine: Engine, compiled: CompiledProject, layout: Layout, live: Live | None, *, allow_destructive: bool
) -> Plan:
    """Compare a compiled project with what is live. Reads row counts; changes nothing."""
    old_texts = dict(live.compiled.project.files) if live else {}
    sources = _changes(old_texts, compiled.project.files, ".datasource")
    pipes = _changes(old_texts, compiled.project.files, ".pipe")
    feedback: list[Feedback] = []
    steps: list[Step] = []
    existing = set(live.physical.objects) if live else set()  # what else lies there is half made, and goes
    for name in sorted(layout.data_tables, key=lambda n: _depth(layout, n)):
        if layout.data_tables[name].name not in existing:
            step, problem = _table_step(engine, compiled, layout, live, name)
            steps.append(step)
            feedback += [problem] if problem else []
    rest = [o for o in layout.objects() if o.name not in existing and o not in layout.data_tables.values()]
    if rest:
        steps.append(Step(Category.METADATA, "workspace", "quarantines, views and ingestion", create=tuple(rest)))
    for name in sources.deleted:
        rows = _count(engine, live.physical.tables[name]) if live and name in live.physical.tables else 0
        steps.append(Step(Category.DESTRUCTIVE, name, "the data source is no longer in the project", rows))
        if not allow_destructive:
            message = f"The data source '{name}' ({rows} rows) would be deleted. Use --allow-destructive-operations."
            feedback.append(Feedback("ERROR", f"Datasource {name}.datasource", message))
    for diagnostic in compiled.diagnostics:
        feedback.append(Feedback("WARNING", diagnostic.span.file, f"{diagnostic.message}. {diagnostic.hint}".strip()))
    return Plan(tuple(steps), sources, pipes, tuple(feedback), layout)


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


def _count(engine: Engine, table: str) -> int:
    return int(json.loads(engine.execute(f"SELECT count() FROM {table}", output="JSONCompact").body)["data"][0][0])


def _table_step(
    engine: Engine, compiled: CompiledProject, layout: Layout, live: Live | None, name: str
) -> tuple[Step, Feedback | None]:
    """Return the step that makes a data source's new table, with its rows from the old one or its views."""
    target = layout.data_tables[name]
    feeding = [v for v in layout.views.values() if v.view.target == name]
    if feeding:
        into = layout.qualified(target.name)
        populate = tuple(f"INSERT INTO {into}\n{v.select}" for v in feeding)
        read = {v.view.source for v in feeding}
        rows = sum(_count(engine, live.physical.tables[s]) for s in read if live and s in live.physical.tables)
        reason = (
            "new materialized data"
            if not live or name not in live.physical.tables
            else "the view or its target changed"
        )
        return Step(Category.REBUILD, name, reason, rows, create=(target,), populate=populate), None
    old = live.physical.tables.get(name) if live else None
    if live is None or old is None:
        return Step(Category.CREATE, name, "new data source", create=(target,)), None
    backfill, problem = _backfill(
        engine, live.compiled.data_sources[name], compiled.data_sources[name], old, layout, target
    )
    rows = _count(engine, old)
    return Step(Category.REWRITE, name, "the table's definition changed", rows, (target,), backfill), problem


def _backfill(
    engine: Engine, before: DataSource, after: DataSource, old: str, layout: Layout, target: PhysicalObject
) -> tuple[str, Feedback | None]:
    """Return the INSERT … SELECT that carries the rows over; columns keep their name, types are cast exactly.

    It is carried out for an empty table too: rows may come before the deployment is applied.
    """
    names: list[str] = []
    values: list[str] = []
    for column in after.columns:
        source = before.column(column.name)
        if source is None:
            continue
        quoted = quote_identifier(column.name)
        names.append(quoted)
        if source.type == column.type:
            values.append(quoted)
            continue
        literal = column.type.replace("\\", "\\\\").replace("'", "\\'")
        values.append(f"accurateCast({quoted}, '{literal}')")
        if (lost := _lossy(engine, old, quoted, literal)) != "":
            message = f"Column '{column.name}' changes from {source.type} to {column.type}: {lost}"
            return "", Feedback("ERROR", f"Datasource {after.name}.datasource", message)
    into = layout.qualified(target.name)
    return f"INSERT INTO {into} ({', '.join(names)}) SELECT {', '.join(values)} FROM {old}", None


def _lossy(engine: Engine, table: str, column: str, type_: str) -> str:
    """Say why a column's values cannot all be cast without loss, '' when they can."""
    plain = _LOW_CARDINALITY.sub(r"\1", type_)
    kept = f"accurateCastOrNull({column}, '{plain}')"
    null = f" AND isNotNull({column})" if _NULLABLE.match(type_) else ""
    sql = f"SELECT countIf(isNull({kept}){null}) FROM {table}"
    try:
        lost = int(json.loads(engine.execute(sql, output="JSONCompact").body)["data"][0][0])
    except EngineError:  # not every type can be asked so
        try:
            sql = f"SELECT sum(ignore(accurateCast({column}, '{type_}'))) FROM {table}"
            engine.execute(sql, output="Null")
        except EngineError as error:
            return f"ClickHouse cannot convert it ({_CONTEXT.split(error.message, maxsplit=1)[0]})"
        return ""
    return f"{lost} rows do not fit the new type" if lost else ""
