"""Builds DataSource resources from `.datasource` trees."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from clickpipe.datafile import ColumnDef, DataSourceFile, Statement
from clickpipe.diagnostics import Diagnostic, Span, Word
from clickpipe.project.common import description, grants, listed, tags, version
from clickpipe.project.connectors import source_options
from clickpipe.project.defaults import fitting_default
from clickpipe.project.engine import build_engine, check_engine
from clickpipe.project.indexes import parse_indexes
from clickpipe.project.jsonpath import JsonpathError, parse_jsonpath
from clickpipe.project.kafka_columns import KAFKA_COLUMNS, KAFKA_HEADERS, is_kafka
from clickpipe.project.model import Column, DataSource, Index
from clickpipe.project.secrets import find_secrets

# Columns that connectors add to the schema: name, type, default.
_DYNAMODB_COLUMNS = (
    ("_record", "Nullable(String)", "NULL"),
    ("_old_record", "Nullable(String)", "NULL"),
    ("_timestamp", "DateTime64(3)", "toDateTime64(0, 3)"),
    ("_event_name", "LowCardinality(String)", "''"),
    ("_is_deleted", "UInt8", "0"),
)


def build_data_source(name: str, tree: DataSourceFile) -> tuple[DataSource | None, list[Diagnostic]]:
    """Return a file's data source (None if it has no readable schema), and diagnostics."""
    statements = tree.statements
    if tree.columns is None:
        return None, _no_schema(tree)
    found, diagnostics = grants(statements, ("READ", "APPEND"))
    columns = []
    for definition in tree.columns:
        column, problems = _column(definition)
        diagnostics += problems
        if column is not None:
            columns.append(column)
    connector, problems = source_options(statements)
    columns += _hidden_columns(tree.file, columns, connector)
    indexes, index_problems = _indexes(statements)
    secrets, secret_problems = find_secrets(statements)
    engine, remarks = build_engine(tree.file, statements)
    forward, forward_problems = _forward_query(statements)
    source = DataSource(
        name,
        tree.file,
        Span(tree.file, 0, 0),
        tuple(columns),
        engine,
        description(statements),
        tags(statements),
        tuple(found),
        tuple(indexes),
        connector,
        forward,
        any(s.directive == "BACKFILL" for s in statements),
        listed(statements, "SHARED_WITH"),
        tuple(secrets),
        version(statements),
    )
    more = [*remarks, *problems, *index_problems, *secret_problems, *forward_problems]
    return source, [*diagnostics, *more, *check_engine(engine, columns)]


def _no_schema(tree: DataSourceFile) -> list[Diagnostic]:
    if any(s.directive == "SCHEMA" for s in tree.statements):
        return []
    end = max(0, len(tree.text.rstrip()) - 1)
    hint = "add a block:\nSCHEMA >\n    id String `json:$.id`,\n    timestamp DateTime `json:$.timestamp`"
    return [Diagnostic("CP1105", "SCHEMA is mandatory", Span(tree.file, end, end + 1), hint=hint)]


def _column(definition: ColumnDef) -> tuple[Column | None, list[Diagnostic]]:
    if definition.type is None and definition.default is None:
        message = f"column '{definition.name.text}' has no type"
        hint = "write name Type, for example: id String (a DEFAULT may replace the type)"
        return None, [Diagnostic("CP1101", message, definition.name.span, hint=hint)]
    default, remark = definition.default, None
    if default is not None and definition.type is not None:
        default, remark = fitting_default(definition.type.text, default)
    column = Column(
        definition.name.text,
        definition.type.text if definition.type else "",
        definition.type.nullable if definition.type else False,
        definition.name.span,
        definition.jsonpath.text if definition.jsonpath else None,
        default,
        definition.codec.text if definition.codec else None,
    )
    return column, [*([remark] if remark else []), *_check_jsonpath(definition.jsonpath)]


def _check_jsonpath(path: Word | None) -> list[Diagnostic]:
    try:
        parse_jsonpath(path.text if path else "$")
    except JsonpathError as error:
        span = path.span.sub(error.offset, len(path.text)) if path else Span("", 0, 0)
        hint = "write $.key.key, $.list[:] or $.list[:].key; $ is the whole event"
        return [Diagnostic("CP1106", str(error), span, hint=hint)]
    return []


def _hidden_columns(file: str, columns: Sequence[Column], connector: Mapping[str, Word]) -> Iterator[Column]:
    """Yield the columns that a connector adds to the schema."""
    added: tuple[tuple[str, str, str], ...] = ()
    if is_kafka(connector):
        headers = connector.get("KAFKA_STORE_HEADERS")
        added = KAFKA_COLUMNS + ((KAFKA_HEADERS,) if headers and headers.text.lower() == "true" else ())
    elif "IMPORT_TABLE_ARN" in connector:
        added = _DYNAMODB_COLUMNS
    given = {c.name for c in columns}
    for name, type_, default in added:
        if name not in given:
            span = next(iter(connector.values())).span
            nullable = type_.startswith("Nullable(")
            yield Column(name, type_, nullable, span=span, default=Word(default, Span(file, 0, 0)))


def _indexes(statements: Sequence[Statement]) -> tuple[list[Index], list[Diagnostic]]:
    block = next((s.argument for s in statements if s.directive == "INDEXES"), None)
    return parse_indexes(block) if block is not None else ([], [])


def _forward_query(statements: Sequence[Statement]) -> tuple[Word | None, list[Diagnostic]]:
    """Return the FORWARD_QUERY: a SELECT of expressions, with no further clauses."""
    block = next((s.block for s in statements if s.directive == "FORWARD_QUERY" and s.block), None)
    if block is None:
        return None, []
    start = len(block.text) - len(block.text.lstrip())
    query = Word(block.text.strip(), block.span.sub(start, start + len(block.text.strip())))
    if re.match(r"(?i)select\b", query.text):
        return query, []
    hint = "select the new schema's columns from those of the live one: SELECT id, toUInt64(amount) AS amount"
    span = query.span.sub(0, len(query.text.split("\n", 1)[0]))
    return None, [Diagnostic("CP1008", "FORWARD_QUERY takes a SELECT", span, hint=hint)]
