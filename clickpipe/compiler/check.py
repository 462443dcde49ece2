"""Every node before ClickHouse's own analyzer, on empty tables; its errors become diagnostics in the author's file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from clickpipe.compiler.compose import Composer
from clickpipe.compiler.ddl import table_ddl
from clickpipe.compiler.graph import Graph, Key, NodeInfo, Variant
from clickpipe.compiler.model import Checker, CheckFailure, ResultColumn
from clickpipe.diagnostics import ClickpipeError, Diagnostic, Span
from clickpipe.project import DataSource, Project
from clickpipe.sql import check as check_statement, check_create
from clickpipe.template import SAMPLE_TEXT, Binder

_IN_SCOPE = re.compile(r"[.:]?\s*(?:[Ii]n scope|While processing|while executing)\b.*$", re.DOTALL)
_MAYBE = re.compile(r"\.?\s*Maybe you meant: (\[.*?\])")
_AVAILABLE = re.compile(r" while processing: '.*?', required columns: .*$", re.DOTALL)
_EXPECTED = re.compile(r"\. Expected one of: .*$", re.DOTALL)
_QUOTED = re.compile("[`'\u2018]([^`'\u2019]+)[`'\u2019]")
# The SQL may read a String parameter as something else: toDate(x), toUInt32(x). It is a mistake only if no text fits.
_OTHER_TEXTS = ("2023-01-01", "2023-01-01 00:00:00", "1", "61f0c404-5cb3-11e7-907b-a6006ad3dba0", "127.0.0.1")
_FUNCTION = re.compile(r"function (\w+)")


def create_tables(checker: Checker, sources: Iterable[DataSource]) -> list[Diagnostic]:
    """Create each data source empty; report what ClickHouse refuses at the column or key it names."""
    diagnostics = []
    for source in sources:
        ddl = table_ddl(source, checker.table(source.name))
        tree = checker.syntax(ddl, {})
        if isinstance(tree, str) and (refusal := check_create(tree)) is not None:
            diagnostics.append(Diagnostic("CP4007", refusal.message, source.span, hint="remove it"))
            continue
        failure = tree if isinstance(tree, CheckFailure) else checker.create(ddl)
        if failure is None:
            quarantine = table_ddl_quarantine(source, checker.table(f"{source.name}_quarantine"))
            failure = checker.create(quarantine)
        if failure is not None:
            message = clean(failure.message)
            diagnostics.append(
                Diagnostic("CP4007", message, _place_in_schema(source, failure.message), hint=_hint(failure))
            )
    return diagnostics


def table_ddl_quarantine(source: DataSource, table: str) -> str:
    """Return the CREATE TABLE of a data source's quarantine (docs/ingestion.md)."""
    columns = "".join(f"    `{c.name}` Nullable(String),\n" for c in source.columns)
    return (
        f"CREATE TABLE {table}\n(\n{columns}"
        "    c__error_column Array(String),\n    c__error Array(String),\n    c__import_id Nullable(String),\n"
        f"    {source.quarantine_time} DateTime DEFAULT now()\n)\nENGINE = MergeTree\n"
        f"PARTITION BY toYYYYMM({source.quarantine_time})\nORDER BY {source.quarantine_time}\n"
        "SETTINGS non_replicated_deduplication_window = 10000"
    )


def check_statements(checker: Checker, nodes: Iterable[NodeInfo]) -> list[Diagnostic]:
    """Check that every node is one SELECT that reads what it may; names that nothing has are reported then."""
    diagnostics: list[Diagnostic] = []
    for info in nodes:
        problems = (_check_statement(checker, variant) for variant in info.variants)
        first = next((p for p in problems if p is not None), None)
        diagnostics += [first] if first is not None else info.unknown
    return diagnostics


def check_nodes(
    checker: Checker, project: Project, graph: Graph, failed: set[Key]
) -> tuple[dict[Key, list[ResultColumn]], list[Diagnostic]]:
    """Type-check every node in every rendering; nodes that read a failed one are left out."""
    types: dict[Key, list[ResultColumn]] = {}
    diagnostics: list[Diagnostic] = []
    samples = _samples(project)
    for info in graph.nodes:
        key = (info.pipe.name, info.node.name)
        if key in failed or any((p.name, n.name) in failed for p, n in info.reads_nodes):
            failed.add(key)
            continue
        columns, problem = _check_node(checker, project, info, samples)
        if problem is not None:
            failed.add(key)
            diagnostics.append(problem)
        elif columns is not None:
            types[key] = columns
    return types, diagnostics


def _check_node(
    checker: Checker, project: Project, info: NodeInfo, samples: Mapping[str, str]
) -> tuple[list[ResultColumn] | None, Diagnostic | None]:
    columns: list[ResultColumn] | None = None
    for variant in info.variants:
        result = _describe(checker, project, info, variant, samples)
        if result is None:
            result = _describe(checker, project, info, variant, _every_sample(project))
        if isinstance(result, CheckFailure):
            message = clean(result.message)
            span = _place_in_sql(variant, result.message)
            return None, Diagnostic("CP4002", message, span, hint=_hint(result))
        columns = columns or result
    return columns, None


def _check_statement(checker: Checker, variant: Variant) -> Diagnostic | None:
    """Check that the author's own SQL is one SELECT that reads nothing it may not."""
    rendered = variant.rendered
    ast = checker.syntax(rendered.text, variant.params)
    if isinstance(ast, CheckFailure):
        offset = _character(rendered.text, ast.offset) if ast.offset is not None else 0
        return Diagnostic("CP4001", clean(ast.message), rendered.locate(offset), hint=_expected(ast.message))
    refusal = check_statement(ast, ())
    if refusal is None:
        return None
    at = max(0, rendered.text.find(refusal.word)) if refusal.word else 0
    code = "CP4003" if refusal.statement else "CP4004"
    hint = "what SQL may read: data sources, pipes, nodes, and the functions listed in docs/datafiles.md"
    if refusal.statement:
        hint = "a node is one SELECT; tables are changed by deployments, events and copies"
    return Diagnostic(code, refusal.message, rendered.locate(at, len(refusal.word) or 1), hint=hint)


def _describe(
    checker: Checker, project: Project, info: NodeInfo, variant: Variant, samples: Mapping[str, str]
) -> list[ResultColumn] | CheckFailure | None:
    """Return the columns; None where what the node reads ends in an `error()` of its author's: there is no SQL."""
    binder = Binder()
    composer = Composer(project, checker.table)
    info.node.program.render(variant.values, binder)  # the node's own placeholders get their names first
    values = {**samples, **variant.values}
    try:
        sql = composer.text(variant.rendered.text, info.pipe, info.node, values, binder)
    except ClickpipeError:
        return None
    result = checker.describe(sql, binder.params)
    for text in _OTHER_TEXTS:
        if not isinstance(result, CheckFailure) or not result.name.startswith("CANNOT_PARSE"):
            break
        result = checker.describe(sql, {name: _instead(value, text) for name, value in binder.params.items()})
    return result


def _instead(value: Any, text: str) -> Any:
    """Return another text where the sample of a String parameter stands."""
    if isinstance(value, list):
        return [_instead(item, text) for item in value]
    return text if value == SAMPLE_TEXT else value


def _samples(project: Project) -> Mapping[str, str]:
    """Return a valid value for every parameter of the project that needs one."""
    found: dict[str, str] = {}
    for pipe in project.pipes.values():
        for node in pipe.nodes:
            found |= node.program.required_samples()
    return found


def _every_sample(project: Project) -> Mapping[str, str]:
    """Return a valid value for every parameter of the project."""
    programs = [node.program for pipe in project.pipes.values() for node in pipe.nodes]
    return {name: value for program in programs for name, value in program.samples()[-1].items()}


def clean(message: str) -> str:
    """Return ClickHouse's message without its view of our statement and the guesses (they go to the hint)."""
    text = _MAYBE.sub("", _EXPECTED.sub("", _AVAILABLE.sub("", message)))
    text = _IN_SCOPE.sub("", text)
    text = re.sub(
        r"failed at position \d+ \((.*?)\)( \(line \d+, col \d+\))?:.*", r"unexpected '\1'", text, flags=re.DOTALL
    )
    return text.strip().rstrip(".:")


def _hint(failure: CheckFailure) -> str:
    match = _MAYBE.search(failure.message)
    if match:
        return f"did you mean {match[1].strip('[]')}?"
    return _expected(failure.message)


def _expected(message: str) -> str:
    match = re.search(r"Expected one of: (.*?)\.?$", message, re.DOTALL)
    if match is None:
        return ""
    words = [w.strip() for w in match[1].split(",")]
    return f"expected one of: {', '.join(words[:8])}{' …' if len(words) > 8 else ''}"  # noqa: PLR2004 - enough to read


def _place_in_sql(variant: Variant, message: str) -> Span:
    """Find the word the message is about in the author's SQL; else the whole first line."""
    text = variant.rendered.text
    head = _IN_SCOPE.sub("", message)
    for word in [*_QUOTED.findall(head), *_FUNCTION.findall(head)]:
        for candidate in (word, word.rsplit(".", 1)[-1]):
            match = re.search(rf"(?<![\w.]){re.escape(candidate)}(?!\w)", text)
            if match:
                return variant.rendered.locate(match.start(), len(candidate))
    at = len(text) - len(text.lstrip())
    return variant.rendered.locate(at, len(text[at:].split("\n", 1)[0]))


def _place_in_schema(source: DataSource, message: str) -> Span:
    for word in _QUOTED.findall(message):
        column = source.column(word)
        if column is not None:
            return column.span
        for index in source.indexes:
            if re.search(rf"\b{re.escape(word)}\b", index.expression):
                return index.span
    for column in source.columns:
        if column.type in message:
            return column.span
    return source.columns[0].span if source.columns else source.span


def _character(text: str, byte: int) -> int:
    """Return the character offset of a byte offset in the UTF-8 of `text`."""
    return len(text.encode()[:byte].decode(errors="ignore"))
