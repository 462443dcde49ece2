"""Checks that each rendering of a node is a single SELECT that reads only known names it is allowed to read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from clickpipe.compiler.calls import of_all_calls
from clickpipe.compiler.checker import CheckFailure
from clickpipe.compiler.explain import character, clean, expected
from clickpipe.compiler.graph import NodeInfo, Variant, render_variant
from clickpipe.compiler.known import KnownNames
from clickpipe.compiler.table_names import TableNames
from clickpipe.compiler.tables import SERVICE_NAMES
from clickpipe.config import COPY_SOURCES, ProjectRules
from clickpipe.diagnostics import Diagnostic, Severity, Span
from clickpipe.project import PipeKind, Project
from clickpipe.sql import Reader, Refusal, Syntax, check as check_statement, table_functions


class Readable:
    """Finds what is wrong with renderings before ClickHouse types them."""

    def __init__(self, project: Project, reader: Reader[CheckFailure], rules: ProjectRules) -> None:
        """Check the nodes of a project by these rules."""
        self._tables = TableNames(project)
        self._names = KnownNames(project)
        self._shared = frozenset(name for name in project.data_sources if "." in name)
        self._reader = reader
        self._rules = rules
        self._found: dict[int, tuple[Variant, Diagnostic | None]] = {}  # by the variant's id

    def check(self, nodes: Iterable[NodeInfo]) -> list[Diagnostic]:
        """Report each problem of the nodes once, with the condition under which it occurs."""
        diagnostics: list[Diagnostic] = []
        for info in nodes:
            problems = [self.problem(info, variant) for variant in info.variants]

            def again(values: Mapping[str, str], info: NodeInfo = info) -> str | None:
                problem = self._with_values(info, values)
                return problem.message if problem is not None else None

            found = of_all_calls(info, problems, again, strict=not self._rules.lenient)
            if found and found[0] == problems[0]:  # report everything that is wrong with the simplest call
                found += list(self._unknown(info, info.variants[0]))[1:]
            diagnostics += [*found, *info.remarks, *self._sources(info)]
        return diagnostics

    def problem(self, info: NodeInfo, variant: Variant) -> Diagnostic | None:
        """Return what is wrong with one rendering: it does not parse, is not allowed, or names something unknown."""
        known = self._found.get(id(variant))
        if known is None:
            known = self._found[id(variant)] = (variant, self._judged(info, variant))
        return known[1]

    def _judged(self, info: NodeInfo, variant: Variant) -> Diagnostic | None:
        syntax = variant.syntax
        if isinstance(syntax, CheckFailure):
            offset = character(variant.rendered.text, syntax.offset) if syntax.offset is not None else 0
            place = variant.rendered.locate(offset)
            return Diagnostic("CP4001", clean(syntax.message), place, hint=expected(syntax.message))
        assert syntax is not None  # noqa: S101 - the graph's renderings are parsed
        if syntax.unplaced:
            message = f"the name of the table '{syntax.unplaced}' cannot be located in this query"
            return Diagnostic("CP4001", message, variant.rendered.locate(0), hint="rewrite the query")
        sources = COPY_SOURCES if info.pipe.kind is PipeKind.COPY else ()
        missing = next(self._unknown(info, variant), None)
        elsewhere = {table.full_name for table in syntax.tables if table.database} if missing is not None else ()
        refusal = check_statement(syntax.tree, {*SERVICE_NAMES, *self._shared, *elsewhere}, sources=sources)
        return _refused(refusal, variant) if refusal is not None else missing

    def _unknown(self, info: NodeInfo, variant: Variant) -> Iterator[Diagnostic]:
        if isinstance(variant.syntax, Syntax):
            yield from self._tables.unknown(info.pipe, info.node, variant.rendered, variant.syntax)

    def _with_values(self, info: NodeInfo, values: Mapping[str, str]) -> Diagnostic | None:
        variant = render_variant(info.node, self._names, values)
        if variant is None:
            return None
        return self.problem(info, replace(variant, syntax=self._reader.read(variant.rendered.text)))

    def _sources(self, info: NodeInfo) -> list[Diagnostic]:
        """Report the settings that a copy needs on its server, which the project itself cannot know."""
        if info.pipe.kind is not PipeKind.COPY:
            return []
        trees = [(v, v.syntax.tree) for v in info.variants if isinstance(v.syntax, Syntax)]
        for variant, tree in trees:
            for name in table_functions(tree):
                if name in COPY_SOURCES and name not in self._rules.copy_sources:
                    message = f"'{name}' can be read only if the server's setting copy_sources lists it"
                    hint = f'set copy_sources = "{name}" on the server'
                    severity = Severity.ERROR if self._rules.on_server else Severity.WARNING
                    return [Diagnostic("CP4004", message, _word(variant, name), severity, hint)]
        return []


def _refused(refusal: Refusal, variant: Variant) -> Diagnostic:
    """Report in the author's file why a rendering is not a SELECT that reads only what it may."""
    code = "CP4003" if refusal.statement else "CP4004"
    hint = "SQL may read data sources, pipes, nodes, and the functions listed in docs/datafiles.md"
    if refusal.statement:
        hint = "a node is a single SELECT; only deployments, events and copies change tables"
    elif (source := refusal.word.lower()) in COPY_SOURCES:
        hint = f'copy pipes may read it if the setting copy_sources lists it: copy_sources = "{source}"'
    return Diagnostic(code, refusal.message, _word(variant, refusal.word), hint=hint)


def _word(variant: Variant, word: str) -> Span:
    """Return the span of a word in a rendering, else its start."""
    at = max(0, variant.rendered.text.lower().find(word.lower())) if word else 0
    return variant.rendered.locate(at, len(word) or 1)
