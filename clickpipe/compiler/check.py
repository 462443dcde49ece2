"""Type-checks every node with ClickHouse's analyzer on empty tables; its errors become diagnostics in the files."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from clickpipe.compiler.ask import Answer, Questions
from clickpipe.compiler.calls import condition, of_all_calls
from clickpipe.compiler.checker import Checker, CheckFailure, ResultColumn
from clickpipe.compiler.compose import Composer
from clickpipe.compiler.explain import clean, hint_of, place_in_sql
from clickpipe.compiler.graph import Graph, Key, NodeInfo, Variant
from clickpipe.compiler.known import KnownNames
from clickpipe.compiler.readable import Readable
from clickpipe.compiler.samples import Samples, enum_labels
from clickpipe.compiler.statements import Statement, Statements
from clickpipe.compiler.table_names import TableNames
from clickpipe.config import COPY_SOURCES, ProjectRules
from clickpipe.diagnostics import Diagnostic, Severity, has_errors
from clickpipe.project import PipeKind, Project
from clickpipe.sql import Reader, Syntax, table_functions

_CALLS = 8  # to try before concluding that none works
_SYNTAX = "Syntax error"  # in the author's own text, which `Readable` reports


def check_nodes(
    checker: Checker,
    project: Project,
    reader: Reader[CheckFailure],
    graph: Graph,
    failed: set[Key],
    readable: Readable,
    rules: ProjectRules,
) -> tuple[dict[Key, list[ResultColumn]], list[Diagnostic]]:
    """Type-check every node in every rendering, except nodes that read a failed one.

    Returns the columns of the pipes' published nodes, by (pipe, node), and diagnostics. Adds the nodes that fail to
    `failed`.
    """
    types: dict[Key, list[ResultColumn]] = {}
    diagnostics: list[Diagnostic] = []
    check = _NodeCheck(checker, project, reader, graph, readable, rules)
    check.ask_ahead(info for info in graph.nodes if not _left_out(info, failed))
    for info in graph.nodes:
        key = (info.pipe.name, info.node.name)
        if _left_out(info, failed):
            failed.add(key)
            continue
        columns, problems = check.node(info)
        problems += _outside_of_copies(graph, info)
        diagnostics += problems
        if has_errors(problems):
            failed.add(key)
        elif columns is not None:
            types[key] = columns
    return types, diagnostics


def _left_out(info: NodeInfo, failed: Collection[Key]) -> bool:
    return (info.pipe.name, info.node.name) in failed or any((p.name, n.name) in failed for p, n in info.reads_nodes)


def _outside_of_copies(graph: Graph, info: NodeInfo) -> list[Diagnostic]:
    """Report a node outside copy pipes that reads a copy pipe's SELECT, if that reads another system."""
    if info.pipe.kind is PipeKind.COPY:
        return []
    for read in graph.reachable(info.pipe, info.node)[1:]:
        trees = [v.syntax.tree for v in read.variants if isinstance(v.syntax, Syntax)]
        trees = trees if read.pipe.kind is PipeKind.COPY else []
        names = {name for tree in trees for name in table_functions(tree)} & COPY_SOURCES.keys()
        if names:
            message = f"'{read.pipe.name}' reads {' and '.join(sorted(names))}, which only copy pipes may"
            hint = "read the data source that the copy pipe writes to"
            return [Diagnostic("CP4004", message, info.node.program.source.span.sub(0, 1), hint=hint)]
    return []


class _NodeCheck:
    """Checks nodes with ClickHouse: asks for columns of published nodes, and only for errors of others."""

    def __init__(
        self,
        checker: Checker,
        project: Project,
        reader: Reader[CheckFailure],
        graph: Graph,
        readable: Readable,
        rules: ProjectRules,
    ) -> None:
        self._rules = rules
        self._readable = readable
        self._statements = Statements(
            Composer(project, reader, TableNames(project).on(checker)), KnownNames(project), graph
        )
        self._questions = Questions(checker, COPY_SOURCES)
        self._labels = enum_labels(project)

    def ask_ahead(self, infos: Iterable[NodeInfo]) -> None:
        """Check all nodes in one request."""
        columns: list[Statement] = []
        refusals: list[Statement] = []
        for info in infos:
            for variant in info.variants:
                if (statement := self._statements.of(info, variant)) is not None:
                    (columns if _publishes(info, variant) else refusals).append(statement)
        self._questions.ask_columns(columns)
        self._questions.ask_refusals(refusals)

    def node(self, info: NodeInfo) -> tuple[list[ResultColumn] | None, list[Diagnostic]]:
        """Return the node's columns if its pipe publishes them, and diagnostics."""
        columns: list[ResultColumn] | None = None
        problems: list[Diagnostic | None] = []
        asked: list[Variant] = []
        faulty = [self._readable.problem(info, v) is not None for v in info.variants]
        for variant, is_faulty in zip(info.variants, faulty, strict=True):
            statement = None if is_faulty else self._statements.of(info, variant)
            if statement is None:
                continue
            asked.append(variant)
            result = self._answer(info, variant, statement)
            if not isinstance(result, CheckFailure):
                problems.append(None)
                if columns is None and info.node is info.pipe.output:
                    found = result or self._questions.columns(statement)
                    columns = None if isinstance(found, CheckFailure) else found
                continue
            problems.append(_diagnostic(variant, result))
        seen = replace(info, variants=tuple(asked))

        def again(values: Mapping[str, str]) -> str | None:
            statement = self._statements.with_values(info, values)
            answer = self._settled(self._questions.refusal(statement), statement) if statement is not None else None
            return clean(answer.message) if isinstance(answer, CheckFailure) else None

        calls = of_all_calls(seen, problems, again, strict=not self._rules.lenient)
        reported = [p for p in calls if not p.message.startswith(_SYNTAX)]
        return columns, reported or [*self._differences(seen, problems), *self._inner_ways(info)]

    def _differences(self, info: NodeInfo, problems: Sequence[Diagnostic | None]) -> list[Diagnostic]:
        """Warn if the node's columns depend on the branches taken; only for strictly checked projects."""
        if self._rules.lenient or not info.variants or not _publishes(info, info.variants[0]):
            return []
        shapes = [[n for n in numbers if problems[n] is None] for numbers in self._statements.shapes(info)]
        first: list[ResultColumn] | None = None
        for numbers in filter(None, shapes if len(shapes) > 1 else ()):
            statement = self._statements.of(info, info.variants[numbers[0]])
            found = self._questions.columns(statement) if statement is not None else None
            if found is None or isinstance(found, CheckFailure):
                continue
            if first is not None and found != first:
                simplest = min(numbers, key=lambda n: len(info.variants[n].values))
                message = f"the columns depend on the parameters: {_difference(first, found)}"
                place = info.node.program.source.span.sub(0, 1)
                hint = "callers and generated clients expect the same columns from every call"
                text = f"{message}{condition(info, simplest, numbers)}"
                return [Diagnostic("CP4008", text, place, Severity.WARNING, hint)]
            first = first or found
        return []

    def _inner_ways(self, info: NodeInfo) -> list[Diagnostic]:
        """Report errors that occur when parameters give a node further down columns other than those checked so far."""
        found: list[Diagnostic] = []
        for way in self._statements.inner_ways(info):
            if any(self._readable.problem(way.inner, way.inner.variants[n]) is not None for n in way.numbers):
                continue  # reported for the inner node
            failures: list[CheckFailure] = []
            for statement in itertools.islice(self._statements.through(info, way), _CALLS):
                answer = self._settled(self._questions.refusal(statement), statement)
                if not isinstance(answer, CheckFailure):
                    break
                failures.append(answer)
            else:
                if failures:
                    when = condition(way.inner, way.simplest, way.numbers)
                    place = place_in_sql(info.variants[0], failures[0].message)
                    severity = Severity.WARNING if self._rules.lenient else Severity.ERROR
                    text = f"{clean(failures[0].message)}{when}"
                    hint = f"the columns of '{way.inner.node.name}' depend on the parameters"
                    found.append(Diagnostic("CP4002", text, place, severity, hint))
        return found[:1]

    def _answer(self, info: NodeInfo, variant: Variant, statement: Statement) -> Answer:
        ask = self._questions.columns if _publishes(info, variant) else self._questions.refusal
        return self._settled(ask(statement), statement)

    def _settled(self, answer: Answer, statement: Statement) -> Answer:
        """Return an answer; if it is about made-up values, the answer for others, or None."""
        if not isinstance(answer, CheckFailure):
            return answer

        def describe(_: str, params: Mapping[str, Any]) -> Answer:
            return self._questions.with_params(statement, params)

        return Samples(describe, self._labels).settle(statement.sql, statement.params, answer, statement.made_up)


def _diagnostic(variant: Variant, failure: CheckFailure) -> Diagnostic:
    if failure.name == "ACCESS_DENIED" and isinstance(variant.syntax, Syntax):
        # chdb takes an unknown table for a file; only after IN can such a name get there
        name = next((table.name for table in variant.syntax.tables if table.in_operator), "")
        failure = replace(failure, message=f"Unknown expression identifier `{name}`")
    return Diagnostic("CP4002", clean(failure.message), place_in_sql(variant, failure.message), hint=hint_of(failure))


def _difference(first: Sequence[ResultColumn], other: Sequence[ResultColumn]) -> str:
    """Describe how other columns differ from the first."""
    ours, theirs = {c.name: c.type for c in first}, {c.name: c.type for c in other}
    found = [
        f"`{name}` is {type_} instead of {ours[name]}"
        for name, type_ in theirs.items()
        if ours.get(name) not in (None, type_)
    ]
    found += [f"`{name}` is added" for name in theirs if name not in ours]
    found += [f"`{name}` is missing" for name in ours if name not in theirs]
    return ", ".join(found[:4]) or "their order differs"


def _publishes(info: NodeInfo, variant: Variant) -> bool:
    return info.node is info.pipe.output and variant is info.variants[0]
