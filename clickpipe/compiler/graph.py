"""The dependency graph of nodes: unknown names, cycles, and the order in which nodes are checked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from clickpipe.compiler.checker import CheckFailure
from clickpipe.compiler.compose import is_service, resolve
from clickpipe.compiler.known import KnownNames
from clickpipe.compiler.service import SERVED, qualified
from clickpipe.compiler.table_names import TableNames
from clickpipe.diagnostics import ClickpipeError, Diagnostic, Severity
from clickpipe.project import Node, Pipe, PipeKind, Project
from clickpipe.sql import Reader, Syntax, TableReference
from clickpipe.template import SAMPLE_TEXT, Binder, Rendered, Sample, problem

_INTERVAL = "1 hour"  # the only string with a meaning in SQL beyond a literal: after INTERVAL

Key = tuple[str, str]  # pipe, node


@dataclass(frozen=True, slots=True)
class Variant:
    """One rendering of a node, the values it was rendered with, and the template's stretches in it.

    `also` are other values with the same result. `syntax` is its parsed form, or ClickHouse's error.
    """

    rendered: Rendered
    params: Mapping[str, object]
    values: Mapping[str, str]
    stretches: frozenset[int]
    also: tuple[Mapping[str, str], ...] = ()
    syntax: Syntax | CheckFailure | None = None


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A node with its renderings and what it reads.

    `names` are those in its SQL, `remarks` are warnings about names that are not served.
    """

    pipe: Pipe
    node: Node
    variants: tuple[Variant, ...]
    reads_nodes: tuple[tuple[Pipe, Node], ...]
    reads_sources: tuple[str, ...]
    names: frozenset[str]
    remarks: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class Graph:
    """All nodes of a project by key; `nodes` has each node after those that it reads.

    It leaves out nodes in cycles, and those that read them: they cannot be composed.
    """

    nodes: tuple[NodeInfo, ...]
    by_key: Mapping[Key, NodeInfo]

    def reachable(self, pipe: Pipe, node: Node) -> list[NodeInfo]:
        """Return the info of the node and of every node that it reads, directly or not; itself first."""
        seen: dict[Key, NodeInfo] = {}
        stack = [(pipe.name, node.name)]
        while stack:
            key = stack.pop()
            info = self.by_key.get(key)
            if info is None or key in seen:
                continue
            seen[key] = info
            stack.extend((p.name, n.name) for p, n in reversed(info.reads_nodes))
        return list(seen.values())


def build_graph(project: Project, reader: Reader[CheckFailure]) -> tuple[Graph, list[Diagnostic]]:
    """Render every node, resolve what it reads, and sort the nodes; report failing templates and cycles."""
    diagnostics: list[Diagnostic] = []
    rendered: list[tuple[Pipe, Node, list[Variant]]] = []
    for pipe, node, variants, problems in render_nodes(project):
        rendered.append((pipe, node, variants))
        diagnostics += problems
    texts = [v.rendered.text for _, _, variants in rendered for v in variants]
    known = dict(zip(texts, reader.read_all(texts), strict=True))
    names = KnownNames(project)
    tables = TableNames(project)
    by_key: dict[Key, NodeInfo] = {}
    for pipe, node, variants in rendered:
        read = [_read(replace(v, syntax=known[v.rendered.text]), node, names, reader) for v in variants]
        by_key[(pipe.name, node.name)] = _inspect(tables, pipe, node, read)
    ordered, cycles = _order(by_key)
    return Graph(tuple(ordered), by_key), diagnostics + cycles


def _read(variant: Variant, node: Node, names: KnownNames, reader: Reader[CheckFailure]) -> Variant:
    """Return a rendering with parsed SQL; if the made-up strings do not parse, with one that does."""
    if isinstance(variant.syntax, Syntax) or SAMPLE_TEXT not in variant.values.values():
        return variant
    values = {name: _INTERVAL if value == SAMPLE_TEXT else value for name, value in variant.values.items()}
    other = render_variant(node, names, values)
    syntax = reader.read(other.rendered.text) if other is not None else None
    if other is None or not isinstance(syntax, Syntax):
        return variant
    return replace(other, syntax=syntax, stretches=variant.stretches, also=variant.also)


def render_nodes(project: Project) -> Iterator[tuple[Pipe, Node, list[Variant], list[Diagnostic]]]:
    """Yield every node with its renderings, not parsed yet, and the diagnostics of its template."""
    known = KnownNames(project)
    for pipe in project.pipes.values():
        for node in pipe.nodes:
            yield pipe, node, *_variants(node, known)


def publish_untyped(project: Project, graph: Graph) -> Project:
    """Publish Classic pipes without any TYPE as endpoints, if a token reads them or no other pipe does."""
    read = {pipe.name for info in graph.by_key.values() for pipe, _ in info.reads_nodes if pipe.name != info.pipe.name}
    published = {
        name for name, pipe in project.pipes.items() if pipe.untyped and (name not in read or _has_reader(pipe))
    }
    pipes = {
        name: replace(pipe, kind=PipeKind.ENDPOINT) if name in published else pipe
        for name, pipe in project.pipes.items()
    }
    return replace(project, pipes=pipes)


def _has_reader(pipe: Pipe) -> bool:
    return any(grant.permission.upper() == "READ" for grant in pipe.grants)


def unused_nodes(graph: Graph, project: Project) -> list[Diagnostic]:
    """Warn of nodes that their pipe neither publishes nor reads on the way to that."""
    found = []
    for pipe in project.pipes.values():
        used = {info.node.name for info in graph.reachable(pipe, pipe.output) if info.pipe.name == pipe.name}
        for node in pipe.nodes:
            if node.name not in used:
                message = f"node '{node.name}' is not used: the published node '{pipe.output.name}' does not read it"
                hint = "remove the node, or read it"
                found.append(Diagnostic("CP2008", message, node.span, Severity.WARNING, hint))
    return found


def sample_secret(_name: str) -> str:
    """Return the placeholder for a secret when SQL is checked."""
    return SAMPLE_TEXT


def _variants(node: Node, names: KnownNames) -> tuple[list[Variant], list[Diagnostic]]:
    """Render a node for each path of its conditions; report what stops it with as few parameters as possible."""
    program = node.program
    diagnostics: list[Diagnostic] = []
    if (fault := program.fault(names)) is not None:
        message = fault.message.removeprefix("Template Syntax Error: ")
        hint = "the template was rendered with its default values"
        diagnostics.append(problem(program.source, "CP3004", message, fault.line, fault.about, hint))
    reported = {diagnostic.span for diagnostic in diagnostics}
    diagnostics += [odd for odd in program.odd_values() if odd.span not in reported]
    variants: dict[str, Variant] = {}
    for sample in program.samples():
        if (variant := render_variant(node, names, sample.values, sample)) is not None:
            variants.setdefault(variant.rendered.text, variant)
    return list(variants.values()), diagnostics


def render_variant(
    node: Node, names: KnownNames, values: Mapping[str, str], sample: Sample | None = None
) -> Variant | None:
    """Render a node with some values, without parsing it; None if it fails because the caller has to give a name."""
    binder = Binder(names, sample_secret)
    with contextlib.suppress(ClickpipeError):
        rendered = node.program.trace(values, binder)
        stretches, also = (sample.stretches, sample.also) if sample is not None else (frozenset[int](), ())
        return Variant(rendered, binder.params, values, stretches, also)
    return None


def _inspect(tables: TableNames, pipe: Pipe, node: Node, variants: Sequence[Variant]) -> NodeInfo:
    nodes: dict[Key, tuple[Pipe, Node]] = {}
    sources: dict[str, None] = {}
    remarks: list[Diagnostic] = []
    names: set[str] = set()
    for variant in variants:
        for reference in variant.syntax.tables if isinstance(variant.syntax, Syntax) else ():
            names.add(reference.full_name)
            found = None if reference.database else resolve(tables.project, pipe, node, reference.name)
            if found is not None:
                nodes[(found[0].name, found[1].name)] = found
            elif is_service(reference):
                sources[qualified(reference.name)] = None
                if reference.name not in SERVED:
                    remarks.append(_not_served(variant.rendered, reference))
            elif (name := tables.table(reference)) is not None:
                sources[name] = None
    read = (tuple(nodes.values()), tuple(sources), frozenset(names))
    return NodeInfo(pipe, node, tuple(variants), *read, tuple(remarks))


def _not_served(rendered: Rendered, reference: TableReference) -> Diagnostic:
    span = rendered.locate(reference.start, reference.end - reference.start)
    message = f"the service data source '{qualified(reference.name)}' is not available yet"
    hint = "its columns are checked, but calls of pipes that read it are refused"
    return Diagnostic("CP2009", message, span, Severity.WARNING, hint)


def _order(by_key: Mapping[Key, NodeInfo]) -> tuple[list[NodeInfo], list[Diagnostic]]:
    """Sort nodes after those that they read; each cycle is reported once, with its path."""
    done: dict[Key, NodeInfo] = {}
    diagnostics: list[Diagnostic] = []
    left: set[Key] = set()

    def visit(key: Key, path: tuple[Key, ...]) -> None:
        if key in done or key in left:
            return
        info = by_key.get(key)
        if info is None:
            return
        if key in path:
            cycle = path[path.index(key) :]
            left.update(cycle)
            diagnostics.append(_cycle(by_key, [*cycle, key]))
            return
        for pipe, node in info.reads_nodes:
            visit((pipe.name, node.name), (*path, key))
        if key not in left and all((p.name, n.name) in done for p, n in info.reads_nodes):
            done[key] = info
        else:
            left.add(key)

    for key in by_key:
        visit(key, ())
    return list(done.values()), diagnostics


def _cycle(by_key: Mapping[Key, NodeInfo], path: Iterable[Key]) -> Diagnostic:
    keys = list(path)
    shown = " -> ".join(f"{pipe}.{node}" for pipe, node in keys)
    span = by_key[keys[0]].node.span
    return Diagnostic("CP2004", f"nodes read each other in a cycle: {shown}", span, hint="break the cycle")
