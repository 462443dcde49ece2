"""Checks materialized views and copies: their queries against their target data sources."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from clickpipe.compiler.checker import CheckFailure, ResultColumn
from clickpipe.compiler.compose import Composer, resolve
from clickpipe.compiler.conversions import lossy_column
from clickpipe.compiler.graph import Graph, Key
from clickpipe.compiler.model import CopyPipe, MaterializedView
from clickpipe.compiler.table_names import QUARANTINE_SUFFIX
from clickpipe.config import ProjectRules
from clickpipe.diagnostics import ClickpipeError, Diagnostic, Related, Span, did_you_mean
from clickpipe.project import DataSource, Node, Pipe, PipeKind, Project
from clickpipe.sql import Reader, Syntax
from clickpipe.template import Binder, Parameter

_AGGREGATE = re.compile(r"\bAggregateFunction\(")
_SECRET = re.compile(r"\btb_(?:secret|var)\s*\(")
_STATE = re.compile(r"^AggregateFunction\((\w+)")
_WRAPPED = re.compile(r"^(?:Nullable|LowCardinality)\((.*)\)$")
_NUMBER = re.compile(r"^(?:U?Int\d+|Float\d+|Decimal.*|Bool)$")
_SIMPLE = re.compile(r"^SimpleAggregateFunction\(\w+,\s*+(.*)\)$")


def build_views(
    project: Project, graph: Graph, reader: Reader[CheckFailure]
) -> tuple[dict[str, MaterializedView], list[Diagnostic]]:
    """Return the materialized views: source (the left-most data source), target, query; and diagnostics."""
    views: dict[str, MaterializedView] = {}
    diagnostics: list[Diagnostic] = []
    whole = {(info.pipe.name, info.node.name) for info in graph.nodes}
    for pipe in project.pipes.values():
        if pipe.kind is not PipeKind.MATERIALIZED or pipe.target is None:
            continue
        if pipe.engine is not None and pipe.target.text in project.undefined_targets():
            continue  # its SELECT has an error that is already reported
        if (problem := _target_exists(project, pipe)) is not None:
            diagnostics.append(problem)
            continue
        if any(n.program.parameters for n in pipe.nodes) or any(p.required for p in parameters(graph, pipe)):
            message = "a materialized view takes no parameters: it runs when rows arrive"
            span = pipe.output.program.source.span.sub(0, 1)
            hint = "remove the template calls, or make this an endpoint"
            diagnostics.append(Diagnostic("CP3005", message, span, hint=hint))
            continue
        if (pipe.name, pipe.output.name) not in whole:
            continue  # it is in a cycle, or reads one
        if any(_SECRET.search(info.node.program.source.text) for info in graph.reachable(pipe, pipe.output)):
            message = "a materialized view cannot use secrets: its definition would contain them in plain text"
            span = pipe.output.program.source.span.sub(0, 1)
            hint = "use the secret in an endpoint or copy that reads the view's target"
            diagnostics.append(Diagnostic("CP3005", message, span, hint=hint))
            continue
        if (problem := _renders(project, reader, pipe)) is not None:
            diagnostics.append(problem)
            continue
        source = trigger(graph, project, pipe)
        if source is None:
            message = "a materialized view must read a data source"
            diagnostics.append(Diagnostic("CP2003", message, pipe.output.span, hint="read one in FROM"))
            continue
        views[pipe.name] = MaterializedView(pipe.name, source, project.canonical(pipe.target.text), pipe)
    return views, diagnostics


def _renders(project: Project, reader: Reader[CheckFailure], pipe: Pipe) -> Diagnostic | None:
    """Report what stops a view's SELECT without parameters, as when rows arrive."""
    try:
        Composer(project, reader, None).pipe(pipe, {}, Binder())
    except ClickpipeError as error:
        span = pipe.output.program.source.span.sub(0, 1)
        hint = "everything that a view reads must render without parameters: it runs when rows arrive"
        return Diagnostic("CP3004", error.message, span, hint=hint)
    return None


def build_copies(project: Project, graph: Graph) -> tuple[dict[str, CopyPipe], list[Diagnostic]]:
    """Return the copy pipes, and diagnostics; a scheduled one must have a default for every parameter."""
    copies: dict[str, CopyPipe] = {}
    diagnostics: list[Diagnostic] = []
    for pipe in project.pipes.values():
        if pipe.kind is not PipeKind.COPY or pipe.target is None:
            continue
        if (problem := _target_exists(project, pipe)) is not None:
            diagnostics.append(problem)
            continue
        found = parameters(graph, pipe)
        required = [p.name for p in found if p.required]
        if required and pipe.copy_schedule:
            message = f"a scheduled copy needs a default for every parameter: {', '.join(required)}"
            span = pipe.output.program.source.span.sub(0, 1)
            diagnostics.append(Diagnostic("CP3005", message, span, hint="give defaults, or COPY_SCHEDULE @on-demand"))
            continue
        copies[pipe.name] = CopyPipe(
            pipe.name, project.canonical(pipe.target.text), pipe.copy_schedule, pipe.copy_mode, found, pipe
        )
    return copies, diagnostics


def parameters(graph: Graph, pipe: Pipe, node: Node | None = None) -> tuple[Parameter, ...]:
    """Return the parameters of a pipe (or of one of its nodes), followed by those of what it reads."""
    found: dict[str, Parameter] = {}
    for info in graph.reachable(pipe, node or pipe.output):
        for parameter in info.node.program.parameters:
            found.setdefault(parameter.name, parameter)
    return tuple(found.values())


def trigger(graph: Graph, project: Project, pipe: Pipe) -> str | None:
    """Return the data source whose inserts run the view: the left-most one in its query."""
    key: Key = (pipe.name, pipe.output.name)
    seen: set[Key] = set()
    while key not in seen:
        seen.add(key)
        info = graph.by_key.get(key)
        syntax = info.variants[0].syntax if info and info.variants else None
        table = syntax.main if isinstance(syntax, Syntax) else None
        if info is None or table is None:
            return None
        found = None if table.database else resolve(project, info.pipe, info.node, table.name)
        if found is None:
            name = project.canonical(table.full_name)
            base = name.removesuffix(QUARANTINE_SUFFIX)
            return name if name in project.data_sources or base in project.data_sources else None
        key = (found[0].name, found[1].name)
    return None


def check_target(
    source: DataSource,
    canonical: Mapping[str, str],
    pipe: Pipe,
    columns: list[ResultColumn],
    casts: Callable[[str, str], bool],
    rules: ProjectRules,
) -> list[Diagnostic]:
    """Compare a query's columns with its target's; `canonical` are the target's types as ClickHouse writes them.

    `casts` returns whether ClickHouse can convert values of one type to another, including aggregate states.
    """
    diagnostics = []
    for column in columns:
        target = canonical.get(column.name)
        span = _column_span(pipe, column.name)
        if target is None:
            related = (Related("the target data source", source.span),)
            hint = did_you_mean(column.name, canonical) or f"add `{column.name} {column.type}` to {source.file}"
            message = f"column '{column.name}' of the query is not in the data source '{source.name}'"
            diagnostics.append(Diagnostic("CP4005", message, span, related=related, hint=hint))
        elif not _fits(column.type, target) and not casts(column.type, target):
            definition = source.column(column.name)
            places = (Related("the column is defined here", definition.span),) if definition else ()
            message = f"column '{column.name}' is {column.type} in the query and {target} in '{source.name}'"
            hint = _mending(column, target, source.file)
            diagnostics.append(Diagnostic("CP4006", message, span, related=places, hint=hint))
        elif (lossy := lossy_column(source, target, pipe, column, span, rules)) is not None:
            diagnostics.append(lossy)
    given = {c.name for c in columns}
    for definition in source.columns:
        if definition.name not in given and _AGGREGATE.search(definition.type):
            message = f"the query does not return the column '{definition.name}' of the data source '{source.name}'"
            diagnostics.append(
                Diagnostic("CP4005", message, pipe.output.span, related=(Related("the column", definition.span),))
            )
    return diagnostics


def _fits(given: str, target: str) -> bool:
    """Return whether a column can surely be stored: equal types, any number in a number, any plain type in a String."""
    given, target = (_SIMPLE.sub(r"\1", text) for text in (given, target))
    if given == target:
        return True
    if _AGGREGATE.search(given) or _AGGREGATE.search(target):
        return False
    given, target = (_WRAPPED.sub(r"\1", _WRAPPED.sub(r"\1", text)) for text in (given, target))
    return target == "String" or given == "Nothing" or bool(_NUMBER.match(given) and _NUMBER.match(target))


def _mending(column: ResultColumn, target: str, file: str) -> str:
    """Return a hint on how to reconcile a query's column with its target's type."""
    declared = f"write `{column.name} {column.type}` in {file}"
    wanted, given = _STATE.match(target), _STATE.match(column.type)
    if wanted and not given:
        return f"write {wanted[1]}State(…) AS {column.name} in the query: it stores states, to be read with -Merge"
    if given and not wanted:
        held = "values, not states" if target.startswith("SimpleAggregateFunction(") else "values"
        return f"{declared}, or {given[1]}(…) AS {column.name} in the query: the column stores {held}"
    return declared


def _column_span(pipe: Pipe, name: str) -> Span:
    source = pipe.output.program.source
    match = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", source.text)
    return source.span.sub(match.start(), match.end()) if match else pipe.output.span


def _target_exists(project: Project, pipe: Pipe) -> Diagnostic | None:
    assert pipe.target is not None  # noqa: S101 - callers check
    if project.canonical(pipe.target.text) in project.data_sources:
        return None
    hint = (
        did_you_mean(pipe.target.text, [*project.data_sources, *project.names_elsewhere(".datasource")])
        or "add its .datasource file"
    )
    message = f"the target data source '{pipe.target.text}' does not exist"
    return Diagnostic("CP2003", message, pipe.target.span, hint=hint)
