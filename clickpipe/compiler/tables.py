"""The tables for checking nodes: data sources, quarantines and service data sources, created empty."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from clickpipe.compiler.checker import Checker, CheckFailure
from clickpipe.compiler.ddl import column_ddl, meant_table, table_ddl
from clickpipe.compiler.explain import clean, hint_of, place_in_schema
from clickpipe.compiler.json_types import plain_types
from clickpipe.compiler.service import DATABASE, SERVICE_SOURCES, qualified, service_ddl
from clickpipe.compiler.table_names import QUARANTINE_SUFFIX
from clickpipe.diagnostics import Diagnostic, Span
from clickpipe.project import DataSource
from clickpipe.sql import Refusal, check_create, quote_identifier, quote_literal

SERVICE_NAMES = frozenset(qualified(name) for name in SERVICE_SOURCES)
_QUARANTINE_COLUMNS = frozenset({"c__error_column", "c__error", "c__import_id", "insertion_date"})
_LONG_NAME = 100  # a table's file contains its name, and file systems have limits


def create_tables(checker: Checker, sources: Iterable[DataSource]) -> list[Diagnostic]:
    """Create each data source empty; report errors at the column or key that they mention."""
    wanted = [(source, table_ddl(source, checker.table(source.name))) for source in sources]
    diagnostics = []
    made: list[tuple[DataSource, str]] = []
    failures: list[tuple[DataSource, CheckFailure]] = []
    judged = [table_ddl(source, checker.table(source.name), plain_types(source)) for source, _ in wanted]
    for (source, ddl), tree in zip(wanted, checker.syntax_all(judged), strict=True):
        if isinstance(tree, CheckFailure):
            failures.append((source, tree))
        elif (refusal := check_create(tree, meant_table(source))) is not None:
            diagnostics.append(
                Diagnostic("CP4007", refusal.message, _place(source, refusal), hint="change or remove it")
            )
        else:
            made.append((source, ddl))
    return diagnostics + [_refused(checker, *failure) for failure in (*failures, *_create(checker, made))]


def _place(source: DataSource, refusal: Refusal) -> Span:
    """Return the span of the option, column or index that a refusal is about; else of the data source."""
    words = (*source.engine.options.values(), *(c.default for c in source.columns if c.default))
    places = [(word.text, word.span) for word in words]
    places += [(f"{index.expression} {index.type}", index.span) for index in source.indexes]
    return next((span for text, span in places if refusal.word and refusal.word in text), source.span)


def create_quarantines(checker: Checker, sources: Iterable[DataSource], read: Collection[str]) -> list[Diagnostic]:
    """Create the quarantine tables that are `read` or may be refused; report ClickHouse's errors."""
    wanted = [
        (source, table_ddl_quarantine(source, checker.table(f"{source.name}{QUARANTINE_SUFFIX}")))
        for source in sources
        if f"{source.name}{QUARANTINE_SUFFIX}" in read or _doubtful(source)
    ]
    return [_refused(checker, *failure) for failure in _create(checker, wanted)]


def check_types(checker: Checker, sources: Iterable[DataSource], known: Collection[Diagnostic]) -> list[Diagnostic]:
    """Report unknown types in data sources that already have an error of another kind."""
    reported = {(d.span.file, d.span.start) for d in known}
    columns = [(source, c) for source in sources for c in source.columns if (c.span.file, c.span.start) not in reported]
    answers = checker.describe_all([(f"SELECT CAST([], {quote_literal(f'Array({c.type})')})", {}) for _, c in columns])
    return [
        Diagnostic("CP4007", clean(answer.message), column.span, hint=hint_of(answer))
        for (_, column), answer in zip(columns, answers, strict=True)
        if isinstance(answer, CheckFailure) and answer.name == "UNKNOWN_TYPE"
    ]


def _refused(checker: Checker, source: DataSource, failure: CheckFailure) -> Diagnostic:
    index = next((i.span for i in source.indexes if f"secondary index `{i.name}`" in failure.message), None)
    place = index or _refused_alone(checker, source, failure) or place_in_schema(source, failure.message)
    return Diagnostic("CP4007", clean(failure.message), place, hint=hint_of(failure))


def _refused_alone(checker: Checker, source: DataSource, failure: CheckFailure) -> Span | None:
    """Return the first column that ClickHouse refuses on its own for the same reason, or None."""
    columns = source.columns
    if failure.name == "SYNTAX_ERROR":
        alone = [f"CREATE TABLE t ({column_ddl(c)}) ENGINE = Memory" for c in columns]
        options = list(source.engine.options.values())
        alone += [f"SELECT ({word.text})" for word in options]
        spans = (*(c.span for c in columns), *(word.span for word in options))
        parsed = zip(spans, checker.syntax_all(alone), strict=True)
        return next((span for span, tree in parsed if isinstance(tree, CheckFailure)), None)
    with_default = [c for c in columns if c.default is not None]
    casts: list[tuple[str, dict[str, str]]] = [
        (f"SELECT CAST(({c.default.text}), {quote_literal(c.type)})", {}) for c in with_default if c.default
    ]
    answers = zip(with_default, checker.describe_all(casts), strict=True)
    reason = clean(failure.message)
    return next((c.span for c, a in answers if isinstance(a, CheckFailure) and clean(a.message) == reason), None)


def create_services(checker: Checker, read: Iterable[str]) -> None:
    """Create the service data sources among the names, empty."""
    wanted = sorted(set(read) & SERVICE_NAMES)
    checker.create_all([service_ddl(name.removeprefix(f"{DATABASE}."), checker.table(name)) for name in wanted])


def _create(checker: Checker, tables: Sequence[tuple[DataSource, str]]) -> list[tuple[DataSource, CheckFailure]]:
    answers = checker.create_all([ddl for _, ddl in tables])
    return [(source, failure) for (source, _), failure in zip(tables, answers, strict=True) if failure is not None]


def _doubtful(source: DataSource) -> bool:
    """Return whether a quarantine table may be refused though its data source is not (column names, long name)."""
    return len(source.name) > _LONG_NAME or any(c.name in _QUARANTINE_COLUMNS for c in source.columns)


def table_ddl_quarantine(source: DataSource, table: str) -> str:
    """Return the CREATE TABLE of a data source's quarantine (docs/ingestion.md)."""
    columns = "".join(f"    {quote_identifier(c.name)} Nullable(String),\n" for c in source.columns)
    return (
        f"CREATE TABLE {table}\n(\n{columns}"
        "    c__error_column Array(String),\n    c__error Array(String),\n    c__import_id Nullable(String),\n"
        f"    {source.quarantine_time} DateTime DEFAULT now()\n)\nENGINE = MergeTree\n"
        f"PARTITION BY toYYYYMM({source.quarantine_time})\nORDER BY {source.quarantine_time}\n"
        "SETTINGS non_replicated_deduplication_window = 10000"
    )
