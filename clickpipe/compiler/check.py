"""Every node before ClickHouse's own analyzer, on empty tables; its errors become diagnostics in the author's file."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeGuard, TypeVar

from clickpipe.compiler.calls import condition, of_all_calls
from clickpipe.compiler.compose import Composer
from clickpipe.compiler.explain import character, clean, expected, hint_of, place_in_sql
from clickpipe.compiler.graph import Graph, Key, NodeInfo, Variant
from clickpipe.compiler.known import KnownNames
from clickpipe.compiler.model import Checker, CheckFailure, ResultColumn
from clickpipe.compiler.statements import Statement, Statements
from clickpipe.compiler.tables import SERVICE_NAMES
from clickpipe.config import COPY_SOURCES, ProjectRules
from clickpipe.diagnostics import Diagnostic, Severity, has_errors
from clickpipe.project import PipeKind, Project
from clickpipe.sql import Refusal, check as check_statement, table_functions
from clickpipe.template import SAMPLE_TEXT

# The SQL may read a String parameter as something else: toDate(x), toUInt32(x), a unit, a time zone. It is a mistake
# only if no text fits.
_OTHER_TEXTS = ("2023-01-01", "2023-01-01 00:00:00", "1", "day", "UTC", "61f0c404-5cb3-11e7-907b-a6006ad3dba0", "::1")
_ABOUT_VALUES = ("BAD_ARGUMENTS", "CANNOT_PARSE")  # what the errors' names start with that other texts may mend
_ROUNDS = 4
_CALLS = 8  # that are tried before none is said to work
_SYNTAX = "Syntax error"  # told of the author's own text, by check_statements

_Answer = TypeVar("_Answer")


def check_statements(
    checker: Checker, nodes: Iterable[NodeInfo], rules: ProjectRules
) -> tuple[list[Diagnostic], dict[str, str]]:
    """Check that every node is one SELECT that reads what it may; names that nothing has are reported then.

    Also returns the syntax trees of the renderings, by their text.
    """
    infos = list(nodes)
    texts = list(dict.fromkeys(v.rendered.text for info in infos for v in info.variants))
    trees = dict(zip(texts, checker.syntax_all(texts), strict=True))

    def judged(info: NodeInfo, variant: Variant) -> Refusal | CheckFailure | None:
        tree = trees[variant.rendered.text]
        sources = rules.copy_sources if info.pipe.kind is PipeKind.COPY else ()
        return tree if isinstance(tree, CheckFailure) else check_statement(tree, SERVICE_NAMES, sources=sources)

    diagnostics: list[Diagnostic] = []
    for info in infos:
        problems = [_explained(judged(info, v), v) for v in info.variants]
        refused = [p for p in problems if p is not None and p.code != "CP4001"]
        diagnostics += (refused[:1] or of_all_calls(info, problems, lenient=rules.lenient)) or info.unknown
    return diagnostics, {text: tree for text, tree in trees.items() if isinstance(tree, str)}


class _Answers(Generic[_Answer]):
    """What was answered to statements, each of which is asked once."""

    def __init__(self, ask: Callable[[Sequence[Statement]], list[_Answer]]) -> None:
        self._ask = ask
        self._found: dict[tuple[str, str], _Answer] = {}

    def ask(self, statements: Iterable[Statement]) -> None:
        """Ask them together."""
        new = {(sql, repr(params)): (sql, params) for sql, params in statements}
        new = {key: statement for key, statement in new.items() if key not in self._found}
        self._found.update(zip(new, self._ask(list(new.values())), strict=True))

    def of(self, sql: str, params: Mapping[str, Any]) -> _Answer:
        """Return the answer to one."""
        key = (sql, repr(params))
        if key not in self._found:
            self._found[key] = self._ask([(sql, params)])[0]
        return self._found[key]


def check_nodes(
    checker: Checker,
    project: Project,
    graph: Graph,
    failed: set[Key],
    trees: Mapping[str, str],
    rules: ProjectRules,
) -> tuple[dict[Key, list[ResultColumn]], list[Diagnostic]]:
    """Type-check every node in every rendering; nodes that read a failed one are left out.

    `trees` are the syntax trees of the renderings. Returns the columns of what pipes publish.
    """
    types: dict[Key, list[ResultColumn]] = {}
    diagnostics: list[Diagnostic] = []
    check = _NodeCheck(checker, project, graph, trees, rules)
    check.ask_ahead(info for info in graph.nodes if not _left_out(info, failed))
    for info in graph.nodes:
        key = (info.pipe.name, info.node.name)
        if _left_out(info, failed):
            failed.add(key)
            continue
        columns, problems = check.node(info)
        problems += _outside_of_copies(graph, info, trees)
        diagnostics += problems
        if has_errors(problems):
            failed.add(key)
        elif columns is not None:
            types[key] = columns
    return types, diagnostics


def _left_out(info: NodeInfo, failed: Collection[Key]) -> bool:
    return (info.pipe.name, info.node.name) in failed or any((p.name, n.name) in failed for p, n in info.reads_nodes)


def _outside_of_copies(graph: Graph, info: NodeInfo, trees: Mapping[str, str]) -> list[Diagnostic]:
    """Report a node that is no copy's and reads a copy pipe's own SELECT, where that reads another system."""
    if info.pipe.kind is PipeKind.COPY:
        return []
    for read in graph.reachable(info.pipe, info.node)[1:]:
        texts = [v.rendered.text for v in read.variants] if read.pipe.kind is PipeKind.COPY else []
        names = {name for text in texts for name in table_functions(trees[text])} & COPY_SOURCES.keys()
        if names:
            message = f"'{read.pipe.name}' reads {' and '.join(sorted(names))}, which only copy pipes may"
            hint = "read the data source that the copy pipe writes to"
            return [Diagnostic("CP4004", message, info.node.program.source.span.sub(0, 1), hint=hint)]
    return []


class _NodeCheck:
    """Asks ClickHouse about nodes: for columns where a pipe publishes them, else only whether it takes the SELECT."""

    def __init__(
        self, checker: Checker, project: Project, graph: Graph, trees: Mapping[str, str], rules: ProjectRules
    ) -> None:
        self._checker = checker
        self._lenient = rules.lenient
        self._statements = Statements(Composer(project, checker.table), KnownNames(project), graph, trees)
        self._columns = _Answers(checker.describe_all)
        self._refusals = _Answers(checker.refusals)

    def ask_ahead(self, infos: Iterable[NodeInfo]) -> None:
        """Ask about all nodes together."""
        columns: list[Statement] = []
        refusals: list[Statement] = []
        for info in infos:
            for variant in info.variants:
                if (statement := self._statements.of(info, variant)) is not None:
                    (columns if _publishes(info, variant) else refusals).append(statement)
        self._columns.ask(columns)
        self._refusals.ask(refusals)

    def node(self, info: NodeInfo) -> tuple[list[ResultColumn] | None, list[Diagnostic]]:
        """Return the node's columns if its pipe publishes them, and what is wrong with it."""
        columns: list[ResultColumn] | None = None
        problems: list[Diagnostic | None] = []
        asked: list[Variant] = []
        for variant in info.variants:
            statement = self._statements.of(info, variant)
            if statement is None:
                continue
            asked.append(variant)
            result = self._answer(info, variant, *statement)
            if not isinstance(result, CheckFailure):
                problems.append(None)
                if columns is None and info.node is info.pipe.output:
                    found = result or self._columns.of(*statement)
                    columns = None if isinstance(found, CheckFailure) else found
                continue
            place = place_in_sql(variant, result.message)
            problems.append(Diagnostic("CP4002", clean(result.message), place, hint=hint_of(result)))
        seen = replace(info, variants=tuple(asked))
        told = [p for p in of_all_calls(seen, problems, lenient=self._lenient) if not p.message.startswith(_SYNTAX)]
        return columns, told or [*self._differences(seen, problems), *self._inner_ways(info)]

    def _differences(self, info: NodeInfo, problems: Sequence[Diagnostic | None]) -> list[Diagnostic]:
        """Warn where the node's columns depend on which branches are taken."""
        if not info.variants or not _publishes(info, info.variants[0]):
            return []
        shapes = [[n for n in numbers if problems[n] is None] for numbers in self._statements.shapes(info)]
        first: list[ResultColumn] | None = None
        for numbers in filter(None, shapes if len(shapes) > 1 else ()):
            statement = self._statements.of(info, info.variants[numbers[0]])
            found = self._columns.of(*statement) if statement is not None else None
            if found is None or isinstance(found, CheckFailure):
                continue
            if first is not None and found != first:
                simplest = min(numbers, key=lambda n: len(info.variants[n].values))
                message = f"the columns depend on the parameters: {_difference(first, found)}"
                place = info.node.program.source.span.sub(0, 1)
                hint = "callers and generated clients expect the same columns from every call"
                told = f"{message}{condition(info, simplest, numbers)}"
                return [Diagnostic("CP4008", told, place, Severity.WARNING, hint)]
            first = first or found
        return []

    def _inner_ways(self, info: NodeInfo) -> list[Diagnostic]:
        """Report what is wrong where parameters give a node below other columns than those checked so far."""
        found: list[Diagnostic] = []
        for way in self._statements.inner_ways(info):
            failures: list[CheckFailure] = []
            for statement in itertools.islice(self._statements.through(info, way), _CALLS):
                answer = self._with_other_texts(self._refusals.of(*statement), *statement)
                if not isinstance(answer, CheckFailure):
                    break
                failures.append(answer)
            else:
                if failures:
                    when = condition(way.inner, way.simplest, way.numbers)
                    place = place_in_sql(info.variants[0], failures[0].message)
                    severity = Severity.WARNING if self._lenient else Severity.ERROR
                    told = f"{clean(failures[0].message)}{when}"
                    hint = f"the columns of '{way.inner.node.name}' depend on the parameters"
                    found.append(Diagnostic("CP4002", told, place, severity, hint))
        return found[:1]

    def _answer(
        self, info: NodeInfo, variant: Variant, sql: str, params: Mapping[str, Any]
    ) -> list[ResultColumn] | CheckFailure | None:
        result = self._columns.of(sql, params) if _publishes(info, variant) else self._refusals.of(sql, params)
        return self._with_other_texts(result, sql, params)

    def _with_other_texts(
        self, result: list[ResultColumn] | CheckFailure | None, sql: str, params: Mapping[str, Any]
    ) -> list[ResultColumn] | CheckFailure | None:
        """Return an answer; where it is about a value, that with a text which fits, if there is one."""
        for told_apart in (SAMPLE_TEXT, None):  # first what says nothing, then also what conditions ask for
            for text in _OTHER_TEXTS:
                if not _about_a_value(result):
                    return result
                others = {name: _instead(value, text, told_apart) for name, value in params.items()}
                result = self._checker.describe(sql, others)
        return self._one_by_one(sql, params) if _about_a_value(result) else result

    def _one_by_one(self, sql: str, params: Mapping[str, Any]) -> list[ResultColumn] | CheckFailure:
        """Look for texts of several parameters that mean different things: one fits when the error is another then."""
        given = dict(params)
        result = self._columns.of(sql, params)
        for _ in range(_ROUNDS):
            before = result
            for name, text in itertools.product([n for n, v in given.items() if v == SAMPLE_TEXT], _OTHER_TEXTS):
                if not _about_a_value(result):
                    return result
                found = self._checker.describe(sql, {**given, name: text})
                if not isinstance(found, CheckFailure) or found.message.replace(text, SAMPLE_TEXT) != result.message:
                    given[name], result = text, found
                    break
            if result is before:
                break
        return result


def _difference(first: Sequence[ResultColumn], other: Sequence[ResultColumn]) -> str:
    """Say how other columns differ from the first."""
    ours, theirs = {c.name: c.type for c in first}, {c.name: c.type for c in other}
    found = [
        f"`{name}` is {type_} instead of {ours[name]}"
        for name, type_ in theirs.items()
        if ours.get(name) not in (None, type_)
    ]
    found += [f"there is `{name}`" for name in theirs if name not in ours]
    found += [f"`{name}` is missing" for name in ours if name not in theirs]
    return ", ".join(found[:4]) or "their order is another"


def _publishes(info: NodeInfo, variant: Variant) -> bool:
    return info.node is info.pipe.output and variant is info.variants[0]


def _explained(refusal: Refusal | CheckFailure | None, variant: Variant) -> Diagnostic | None:
    """Tell in the author's file why a rendering is not one SELECT that reads what it may."""
    rendered = variant.rendered
    if isinstance(refusal, CheckFailure):
        offset = character(rendered.text, refusal.offset) if refusal.offset is not None else 0
        return Diagnostic("CP4001", clean(refusal.message), rendered.locate(offset), hint=expected(refusal.message))
    if refusal is None:
        return None
    at = max(0, rendered.text.find(refusal.word)) if refusal.word else 0
    code = "CP4003" if refusal.statement else "CP4004"
    hint = "what SQL may read: data sources, pipes, nodes, and the functions listed in docs/datafiles.md"
    if refusal.statement:
        hint = "a node is one SELECT; tables are changed by deployments, events and copies"
    elif (source := refusal.word.lower()) in COPY_SOURCES:
        hint = f'copy pipes may read it where the setting copy_sources names it: copy_sources = "{source}"'
    return Diagnostic(code, refusal.message, rendered.locate(at, len(refusal.word) or 1), hint=hint)


def _about_a_value(answer: object) -> TypeGuard[CheckFailure]:
    return isinstance(answer, CheckFailure) and answer.name.startswith(_ABOUT_VALUES)


def _instead(value: Any, text: str, of: str | None) -> Any:
    """Return another text where `of` stands, or any text for None."""
    if isinstance(value, list):
        return [_instead(item, text, of) for item in value]
    return text if isinstance(value, str) and of in (None, value) else value
