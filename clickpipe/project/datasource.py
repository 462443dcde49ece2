"""`.datasource` trees to DataSource resources, with the rules of schema and engine."""

from __future__ import annotations

import re
from collections.abc import Iterable

from clickpipe.datafile import ColumnDef, DataSourceFile
from clickpipe.diagnostics import Diagnostic, Related, Span, Word, did_you_mean
from clickpipe.project.common import description, grants, tags
from clickpipe.project.jsonpath import JsonpathError, parse_jsonpath
from clickpipe.project.model import Column, DataSource, TableEngine

# Engine name -> (ENGINE_* options it must have, options it may have).
_KEYS = {"PARTITION_KEY", "SORTING_KEY", "PRIMARY_KEY", "SAMPLING_KEY", "TTL", "SETTINGS"}
ENGINES: dict[str, tuple[set[str], set[str]]] = {
    "MergeTree": (set(), set()),
    "AggregatingMergeTree": (set(), set()),
    "SummingMergeTree": (set(), {"COLUMNS"}),
    "ReplacingMergeTree": ({"SORTING_KEY"}, {"VER", "IS_DELETED"}),
    "CollapsingMergeTree": ({"SIGN", "SORTING_KEY"}, set()),
    "VersionedCollapsingMergeTree": ({"SIGN", "VERSION"}, set()),
}
_COLUMN_OPTIONS = ("VER", "IS_DELETED", "SIGN", "VERSION", "COLUMNS")
_IDENTIFIER = re.compile(r"'(?:[^'\\]|\\.)*'|`([^`]+)`|([A-Za-z_][\w.]*)(\s*\()?")
_KEYWORDS = {"tuple", "and", "or", "not", "interval", "div", "mod", "asc", "desc"}


def build_data_source(name: str, tree: DataSourceFile) -> tuple[DataSource | None, list[Diagnostic]]:
    """Return the data source of a file, or None where there is no readable schema, and the problems."""
    if tree.columns is None:
        return None, _no_schema(tree)
    found, diagnostics = grants(tree.statements, ("READ", "APPEND"))
    columns = []
    for definition in tree.columns:
        column, problems = _column(definition)
        diagnostics += problems
        if column is not None:
            columns.append(column)
    engine = _engine(tree)
    source = DataSource(
        name,
        tree.file,
        Span(tree.file, 0, 0),
        tuple(columns),
        engine,
        description(tree.statements),
        tags(tree.statements),
        tuple(found),
    )
    return source, diagnostics + check_engine(engine, columns)


def _no_schema(tree: DataSourceFile) -> list[Diagnostic]:
    if any(s.directive == "SCHEMA" for s in tree.statements):
        return []
    end = max(0, len(tree.text.rstrip()) - 1)
    hint = "add a block:\nSCHEMA >\n    id String `json:$.id`,\n    timestamp DateTime `json:$.timestamp`"
    return [Diagnostic("CP1105", "SCHEMA is mandatory", Span(tree.file, end, end + 1), hint=hint)]


def _column(definition: ColumnDef) -> tuple[Column | None, list[Diagnostic]]:
    if definition.type is None:
        message = f"column '{definition.name.text}' has no type"
        return None, [
            Diagnostic("CP1101", message, definition.name.span, hint="write name Type, for example: id String")
        ]
    column = Column(
        definition.name.text,
        definition.type.text,
        definition.type.nullable,
        definition.name.span,
        definition.jsonpath.text if definition.jsonpath else None,
        definition.default,
        definition.codec.text if definition.codec else None,
    )
    return column, _check_jsonpath(definition.jsonpath)


def _check_jsonpath(path: Word | None) -> list[Diagnostic]:
    try:
        parse_jsonpath(path.text if path else "$")
    except JsonpathError as error:
        span = path.span.sub(error.offset, len(path.text)) if path else Span("", 0, 0)
        hint = "write $.key.key, $.list[:] or $.list[:].key; $ is the whole event"
        return [Diagnostic("CP1106", str(error), span, hint=hint)]
    return []


def _engine(tree: DataSourceFile) -> TableEngine:
    engine = next((s.argument for s in tree.statements if s.directive == "ENGINE"), None)
    options = {
        s.directive.removeprefix("ENGINE_"): s.argument for s in tree.statements if s.directive.startswith("ENGINE_")
    }
    return TableEngine(engine or Word("MergeTree", Span(tree.file, 0, 0)), options)


def check_engine(engine: TableEngine, columns: Iterable[Column]) -> list[Diagnostic]:
    """Check an engine's name, options and keys against the columns."""
    rules = ENGINES.get(engine.name.text)
    if rules is None:
        known = ", ".join(ENGINES)
        hint = did_you_mean(engine.name.text, ENGINES)
        message = f"Engine {engine.name.text} is not supported, supported engines include: {known}"
        return [Diagnostic("CP1201", message, engine.name.span, hint=hint)]
    required, optional = rules
    diagnostics = []
    for option in sorted(required):
        if not engine.option(option) or (option == "SORTING_KEY" and engine.option(option) == "tuple()"):
            message = f"{engine.name.text} needs ENGINE_{option}"
            diagnostics.append(Diagnostic("CP1202", message, engine.name.span, hint=f"add ENGINE_{option} <column>"))
    for option, word in engine.options.items():
        if option not in _KEYS | required | optional:
            message = f"{engine.name.text} takes no ENGINE_{option}"
            diagnostics.append(
                Diagnostic("CP1002", message, word.span, hint="remove the line, or choose another engine")
            )
    by_name = {c.name: c for c in columns}
    for option in (*_COLUMN_OPTIONS, "PARTITION_KEY", "SORTING_KEY", "PRIMARY_KEY", "SAMPLING_KEY"):
        key = engine.options.get(option)
        if key is not None:
            diagnostics += _key(option, key, by_name)
    return diagnostics


def _key(option: str, word: Word, columns: dict[str, Column]) -> list[Diagnostic]:
    """Check the column names in a key expression."""
    diagnostics = []
    for match in _IDENTIFIER.finditer(word.text):
        name = match.group(1) or match.group(2)
        if name is None or match.group(3) or name.lower() in _KEYWORDS:
            continue
        column = columns.get(name)
        group = 1 if match.group(1) else 2
        span = word.span.sub(match.start(group), match.end(group))
        if column is None:
            if name.split(".")[0] in columns or any(c.startswith(f"{name}.") for c in columns):
                continue
            hint = did_you_mean(name, columns) or f"the columns are: {', '.join(columns)}"
            message = f"ENGINE_{option} names '{name}', which is not a column"
            diagnostics.append(Diagnostic("CP1203", message, span, hint=hint))
        elif column.nullable and option == "SORTING_KEY":
            related = (Related("the column is here", column.span),)
            message = f"Sorting key contains nullable column '{name}'"
            hint = "remove Nullable(...) from the column's type (give it a DEFAULT), or leave it out of the key"
            diagnostics.append(Diagnostic("CP1204", message, span, related=related, hint=hint))
    return diagnostics
