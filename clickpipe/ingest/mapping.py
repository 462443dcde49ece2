"""How a data source's events become rows: tables and views that ClickHouse runs on every insert.

    landing (Null: import id, line) -> staged (Null: a text per column, errors) -> the data source
                                                                                -> its quarantine

One insert into `landing` runs through all of it, so one deduplication token covers the rows, the
quarantined rows and every materialized view behind the data source.
"""

from __future__ import annotations

from dataclasses import dataclass

from clickpipe.ingest.jsonpath import text_at
from clickpipe.ingest.types import base, fits, is_array, value
from clickpipe.project import Column, DataSource, parse_jsonpath
from clickpipe.sql import quote_identifier, quote_literal


@dataclass(frozen=True, slots=True)
class Mapping:
    """The statements of one data source's ingestion, in the order they are to run."""

    landing: str
    staged: str
    views: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Names:
    """Quoted physical names of a mapping's parts and of the tables it writes to."""

    landing: str
    staged: str
    map_view: str
    good_view: str
    bad_view: str
    table: str
    quarantine: str


def can_ingest(source: DataSource) -> bool:
    """Tell whether events can be sent to a data source: not to one with aggregate states."""
    return bool(source.columns) and not any("AggregateFunction(" in _without_simple(c.type) for c in source.columns)


def _without_simple(type_: str) -> str:
    return type_.replace("SimpleAggregateFunction(", "")


def build_mapping(source: DataSource, names: Names) -> Mapping:
    """Return the statements."""
    raw = [f"__{number}" for number in range(len(source.columns))]
    texts = ",\n    ".join(f"{_text(source, c)} AS {r}" for c, r in zip(source.columns, raw, strict=True))
    errors = ",\n        ".join(_error(c, r) for c, r in zip(source.columns, raw, strict=True))
    broken = (
        "if(isValidJSON(line) AND JSONType(line) = 'Object', "
        f"arrayFilter(e -> e.2 != '', [\n        {errors}\n    ]), "
        "[('', concat('the line is not a JSON object: ', leftUTF8(line, 1000)))])"
    )
    staged_columns = ", ".join(f"{r} Nullable(String)" for r in raw)
    good = ",\n    ".join(
        f"{_value(c, r)} AS {quote_identifier(c.name)}" for c, r in zip(source.columns, raw, strict=True)
    )
    bad = ", ".join(f"{r} AS {quote_identifier(c.name)}" for c, r in zip(source.columns, raw, strict=True))
    return Mapping(
        f"CREATE TABLE {names.landing} (import_id String, line String) ENGINE = Null",
        f"CREATE TABLE {names.staged} (__import_id String, {staged_columns}, __errors Array(Tuple(String, String))) "
        "ENGINE = Null",
        (
            f"CREATE MATERIALIZED VIEW {names.good_view} TO {names.table} AS SELECT\n    {good}\n"
            f"FROM {names.staged} WHERE empty(__errors)",
            f"CREATE MATERIALIZED VIEW {names.bad_view} TO {names.quarantine} AS SELECT {bad}, "
            "__errors.1 AS c__error_column, __errors.2 AS c__error, __import_id AS c__import_id, "
            f"now() AS {source.quarantine_time}\n"
            f"FROM {names.staged} WHERE notEmpty(__errors)",
            f"CREATE MATERIALIZED VIEW {names.map_view} TO {names.staged} AS SELECT\n    import_id AS __import_id,\n"
            f"    {texts},\n    {broken} AS __errors\nFROM {names.landing}",
        ),
    )


def _text(source: DataSource, column: Column) -> str:
    """Return SQL for a column's value as text; a column without a path reads its own name if none has one."""
    if column.jsonpath is not None:
        return text_at("line", parse_jsonpath(column.jsonpath))
    if any(c.jsonpath is not None for c in source.columns):
        return "CAST(NULL, 'Nullable(String)')"
    return f"JSONExtract(line, {quote_literal(column.name)}, 'Nullable(String)')"


def _value(column: Column, raw: str) -> str:
    """Return SQL for the column's final value; only rows without errors get here."""
    target = quote_literal(column.type)
    present = f"CAST({value(column.type, raw)}, {target})"
    if column.default is None:
        return present
    return f"if(isNull({raw}), CAST({column.default.text}, {target}), {present})"


def _error(column: Column, raw: str) -> str:
    """Return SQL for `(column, message)`; an empty message is no error."""
    name = quote_literal(column.name)
    missing = "''"
    if not (column.nullable or column.default is not None or is_array(column.type)):
        text = f"value is missing or null on column '{column.name}', which is {column.type} and has no DEFAULT"
        missing = quote_literal(text)
    head = quote_literal("value '")
    tail = quote_literal(f"' on column '{column.name}' is not {base(column.type)}")
    wrong = f"concat({head}, leftUTF8(assumeNotNull({raw}), 200), {tail})"
    return f"({name}, multiIf(isNull({raw}), {missing}, {fits(column.type, raw)}, '', {wrong}))"
