"""Compiles a Project: resolves names, types every node, and reports all errors together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

from clickpipe.compiler.check import check_nodes
from clickpipe.compiler.checker import Checker, CheckFailure, ResultColumn
from clickpipe.compiler.conflicts import conflicting_types
from clickpipe.compiler.derive import derive_targets, infer_types, restore_targets, type_of_default
from clickpipe.compiler.forward_queries import check_forward_queries
from clickpipe.compiler.graph import Graph, Key, NodeInfo, build_graph, publish_untyped, unused_nodes
from clickpipe.compiler.ingestible import check_codecs, check_ingestion
from clickpipe.compiler.known import KnownNames
from clickpipe.compiler.model import CompiledProject, CopyPipe, MaterializedView, QueryFunction
from clickpipe.compiler.names import file_names
from clickpipe.compiler.readable import Readable
from clickpipe.compiler.sinks import build_sinks, check_names
from clickpipe.compiler.table_names import QUARANTINE_SUFFIX
from clickpipe.compiler.tables import check_types, create_quarantines, create_services, create_tables
from clickpipe.compiler.unserved import unserved_lines
from clickpipe.compiler.views import build_copies, build_views, check_target, parameters
from clickpipe.config import DEFAULT_RULES, ProjectRules
from clickpipe.diagnostics import Diagnostic, Severity, has_errors, sort_diagnostics
from clickpipe.project import DataSource, PipeKind, Project, resource_name
from clickpipe.sql import Reader, quote_literal


def compile_project(project: Project, checker: Checker, rules: ProjectRules = DEFAULT_RULES) -> CompiledProject:
    """Compile and check a project. If `.diagnostics` contains an error, it must not be deployed.

    `rules` are the project rules from the settings.
    """
    reader = Reader(checker.syntax_all)
    project = infer_types(project, type_of_default(checker))
    broken = _files_with_errors(project, project.diagnostics)
    sources = [s for s in project.data_sources.values() if s.file not in broken]
    with ThreadPoolExecutor(1) as meanwhile:  # ClickHouse creates tables while nodes are rendered
        tables = meanwhile.submit(create_tables, checker, sources)
        graph, diagnostics = build_graph(project, reader)
        diagnostics = [*project.diagnostics, *diagnostics, *tables.result()]
    read = {name for info in graph.by_key.values() for name in info.reads_sources}
    refused = _files_with_errors(project, diagnostics)
    diagnostics += create_quarantines(checker, [s for s in sources if s.file not in refused], read)
    diagnostics += check_types(checker, [s for s in project.data_sources.values() if s.file in broken], diagnostics)
    create_services(checker, read)
    readable = Readable(project, reader, rules)
    diagnostics += readable.check([i for i in graph.by_key.values() if not _has_error(i, diagnostics)])
    project, problems, missing = derive_targets(
        checker, project, reader, _failed(project, graph, diagnostics, ()), read
    )
    diagnostics += problems
    failed = _failed(project, graph, diagnostics, missing)
    types, problems = check_nodes(checker, project, reader, graph, failed, readable, rules)
    diagnostics += problems
    compiled = _assemble(project, reader, graph, types, diagnostics, rules)
    diagnostics = list(compiled.diagnostics)
    diagnostics += check_forward_queries(checker, project, rules)
    diagnostics += _check_targets(checker, compiled, types) if not has_errors(diagnostics) else []
    diagnostics += check_names(compiled.project, compiled.sinks, types) if not has_errors(diagnostics) else []
    diagnostics += check_codecs(compiled.data_sources.values()) if not has_errors(diagnostics) else []
    diagnostics += check_ingestion(checker, _fed_by_events(compiled)) if not has_errors(diagnostics) else []
    broken = _files_with_errors(project, diagnostics)
    remarks = [*unused_nodes(graph, project), *conflicting_types(graph, project), *unserved_lines(project, rules)]
    diagnostics += [d for d in remarks if d.span.file not in broken]
    return replace(compiled, diagnostics=tuple(sort_diagnostics(diagnostics)), names=file_names(project, graph))


def _fed_by_events(compiled: CompiledProject) -> list[DataSource]:
    """Return the data sources that no materialized view and no copy writes to."""
    written = {view.target for view in compiled.views.values()} | {copy.target for copy in compiled.copies.values()}
    return [s for s in compiled.data_sources.values() if s.ingestible and s.name not in written]


def restore_project(
    project: Project,
    reader: Reader[CheckFailure],
    columns: Mapping[str, Sequence[ResultColumn]],
    rules: ProjectRules = DEFAULT_RULES,
) -> CompiledProject:
    """Compile a project that was checked before; `columns` is the result of `CompiledProject.learned` from then."""
    project = restore_targets(project, columns)
    graph, diagnostics = build_graph(project, reader)
    types = {(p.name, p.output.name): list(columns.get(p.name, ())) for p in project.pipes.values()}
    compiled = _assemble(project, reader, graph, types, [*project.diagnostics, *diagnostics], rules)
    return replace(compiled, names=file_names(project, graph))


def _files_with_errors(project: Project, diagnostics: Iterable[Diagnostic]) -> set[str]:
    """Return the files with an error, in themselves or in what they include."""
    wrong = {d.span.file for d in diagnostics if d.severity is Severity.ERROR}
    return wrong | {file for file, names in project.included.items() if not wrong.isdisjoint(names)}


def _has_error(info: NodeInfo, diagnostics: Iterable[Diagnostic]) -> bool:
    """Return whether one of the errors is in the node's SQL."""
    source = info.node.program.source.span
    places = (d.span for d in diagnostics if d.severity is Severity.ERROR)
    return any(p.file == source.file and source.start <= p.start <= source.end for p in places)


def _failed(project: Project, graph: Graph, diagnostics: Sequence[Diagnostic], missing: Collection[str]) -> set[Key]:
    """Return the nodes that already have an error, or that read something that has one or is `missing`.

    ClickHouse's errors about them would add nothing.
    """
    broken = {resource_name(file) for file in _files_with_errors(project, diagnostics)}
    failed = graph.by_key.keys() - {(info.pipe.name, info.node.name) for info in graph.nodes}
    for info in graph.nodes:
        names = {n for name in info.reads_sources for n in (name, name.removesuffix(QUARANTINE_SUFFIX))}
        reads = any(name in broken or name in missing for name in names)
        if reads or _has_error(info, diagnostics):
            failed.add((info.pipe.name, info.node.name))
    return failed


def _assemble(
    project: Project,
    reader: Reader[CheckFailure],
    graph: Graph,
    types: Mapping[Key, list[ResultColumn]],
    diagnostics: Sequence[Diagnostic],
    rules: ProjectRules,
) -> CompiledProject:
    project = publish_untyped(project, graph)
    views, view_problems = build_views(project, graph, reader)
    copies, copy_problems = build_copies(project, graph)
    sinks, sink_problems = build_sinks(project, graph)
    names = KnownNames(project, any_enum=rules.any_enum)
    endpoints = {
        pipe.name: QueryFunction(
            pipe.name,
            pipe.description or pipe.output.description,
            parameters(graph, pipe),
            tuple(types.get((pipe.name, pipe.output.name), ())),
            pipe,
            project,
            names,
            reader,
        )
        for pipe in project.pipes.values()
        if pipe.kind is PipeKind.ENDPOINT
    }
    broken = _files_with_errors(project, diagnostics)
    problems = [p for p in (*view_problems, *copy_problems, *sink_problems) if p.span.file not in broken]
    found = sort_diagnostics([*diagnostics, *problems])
    return CompiledProject(
        project, project.data_sources, endpoints, views, copies, tuple(found), names, reader, rules, sinks=sinks
    )


def _check_targets(
    checker: Checker, compiled: CompiledProject, types: Mapping[Key, list[ResultColumn]]
) -> list[Diagnostic]:
    diagnostics: list[Diagnostic] = []
    casts = cache(lambda given, target: _casts(checker, given, target))
    writers: list[MaterializedView | CopyPipe] = [*compiled.views.values(), *compiled.copies.values()]
    written = [(w, compiled.data_sources[w.target]) for w in writers if not compiled.data_sources[w.target].derived]
    answers = checker.describe_all([(f"SELECT * FROM {checker.table(w.target)}", {}) for w, _ in written])
    for (item, source), described in zip(written, answers, strict=True):
        columns = types.get((item.pipe.name, item.pipe.output.name))
        if isinstance(described, CheckFailure) or columns is None:
            continue
        canonical = {c.name: c.type for c in described}
        diagnostics += check_target(source, canonical, item.pipe, columns, casts, compiled.rules)
    return diagnostics


def _casts(checker: Checker, given: str, target: str) -> bool:
    """Return whether ClickHouse can convert one type to the other; states of count() convert with any argument."""
    none, into = (quote_literal(t) for t in (f"Array({given})", target))
    sql = f"SELECT CAST(arrayJoin(CAST([], {none})), {into}) AS value"
    return not isinstance(checker.describe(sql, {}), CheckFailure)
