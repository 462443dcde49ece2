"""Fills in what files leave out and ClickHouse can determine.

These are the types of columns that have only a DEFAULT, and the target data sources that Classic materialized nodes
define with their own ENGINE, whose columns are those of the SELECT.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from clickpipe.compiler.checker import Checker, CheckFailure, ResultColumn
from clickpipe.compiler.compose import Composer
from clickpipe.compiler.graph import Key
from clickpipe.compiler.table_names import TableNames
from clickpipe.compiler.tables import create_quarantines, create_tables
from clickpipe.diagnostics import ClickpipeError, Diagnostic, has_errors
from clickpipe.project import Column, DataSource, Pipe, Project, check_engine
from clickpipe.sql import Reader, check, unclosed
from clickpipe.template import Binder


def infer_types(project: Project, type_of: Callable[[DataSource, Column], str]) -> Project:
    """Set the type of each column without one to the result of `type_of`."""
    sources = {}
    for source in project.data_sources.values():
        if any(not c.type for c in source.columns):
            columns = tuple(c if c.type else replace(c, type=type_of(source, c)) for c in source.columns)
            sources[source.name] = replace(source, columns=columns, derived=True)
    return _with(project, sources.values())


def type_of_default(checker: Checker) -> Callable[[DataSource, Column], str]:
    """Return a function that asks ClickHouse for a default's type; an invalid default is reported with its table."""

    def ask(_: DataSource, column: Column) -> str:
        text = column.default.text if column.default else "NULL"
        tree = checker.syntax(sql := f"SELECT {text} AS value")
        if unclosed(text) is not None or isinstance(tree, CheckFailure) or check(tree, ()) is not None:
            return "String"
        found = checker.describe(sql, {})
        return "String" if isinstance(found, CheckFailure) or len(found) != 1 else found[0].type

    return ask


def derive_targets(
    checker: Checker,
    project: Project,
    reader: Reader[CheckFailure],
    failed: Collection[Key],
    read: Collection[str] = (),
) -> tuple[Project, list[Diagnostic], set[str]]:
    """Add the data sources that materialized nodes define, and create them empty.

    A view may read the target of another, so they are resolved repeatedly until none is left that can be. Also returns
    the targets of nodes with an error in their SELECT, which the node's check reports. `read` are the tables that nodes
    read.
    """
    diagnostics: list[Diagnostic] = []
    waiting = project.undefined_targets()
    found = True
    while found:
        found = False
        for name, pipe in list(waiting.items()):
            columns = None if (pipe.name, pipe.output.name) in failed else _describe(checker, project, reader, pipe)
            if columns is None:
                continue
            found = True
            del waiting[name]
            source, problems = _target(name, pipe, columns)
            project = _with(project, [source])
            diagnostics += problems or create_tables(checker, [source]) or create_quarantines(checker, [source], read)
    return project, diagnostics, set(waiting)


def restore_targets(project: Project, columns: Mapping[str, Sequence[ResultColumn]]) -> Project:
    """Add what `derive_targets` and `infer_types` determined when the project was checked."""
    known = {name: {c.name: c.type for c in found} for name, found in columns.items()}
    project = infer_types(project, lambda source, column: known.get(source.name, {}).get(column.name, "String"))
    targets = project.undefined_targets().items()
    return _with(project, (_target(name, pipe, columns[name])[0] for name, pipe in targets if name in columns))


def _describe(
    checker: Checker, project: Project, reader: Reader[CheckFailure], pipe: Pipe
) -> list[ResultColumn] | None:
    binder = Binder()
    try:
        select = Composer(project, reader, TableNames(project).on(checker)).pipe(pipe, {}, binder)
    except ClickpipeError:
        return None
    found = checker.describe(select.text, binder.params)
    return None if isinstance(found, CheckFailure) else found


def _target(name: str, pipe: Pipe, columns: Iterable[ResultColumn]) -> tuple[DataSource, list[Diagnostic]]:
    assert pipe.engine is not None  # noqa: S101 - this is what makes it a target
    span = pipe.output.span
    made = [Column(c.name, c.type, c.type.startswith("Nullable("), span) for c in columns]
    source = DataSource(name, pipe.file, span, tuple(made), pipe.engine, pipe.description, derived=True)
    problems = check_engine(pipe.engine, made)
    return source, problems if has_errors(problems) else []


def _with(project: Project, sources: Iterable[DataSource]) -> Project:
    return replace(project, data_sources={**project.data_sources, **{s.name: s for s in sources}})
