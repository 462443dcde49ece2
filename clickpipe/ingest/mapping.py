"""How a data source's events become rows: tables and views that ClickHouse runs on every insert.

    landing (Null: import id, line) -> staged (Null: texts and values of columns, whether all fit) -> the data source
                                                                                                   -> its quarantine

One insert into `landing` runs through all of it, so one deduplication token covers the rows, the
quarantined rows and every materialized view behind the data source.
"""

from __future__ import annotations

from dataclasses import dataclass

from clickpipe.ingest.extract import Texts, texts_of
from clickpipe.ingest.types import base, fits, is_array, parsed_type, scalar, value
from clickpipe.project import Column, DataSource
from clickpipe.sql import quote_identifier, quote_literal

_BROKEN = "[('', concat('the line is not a JSON object: ', leftUTF8(__line, 1000)))]"


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


@dataclass(frozen=True, slots=True)
class _Field:
    """A column on its way: `raw` names its text, `parsed` the value that the text is (of type `parsed_type`).

    `parsed` is '' for a type whose values are made of the text in the end.
    """

    column: Column
    raw: str
    parsed: str
    parsed_type: str
    proves: bool  # a text there is proves that the line is JSON

    @property
    def required(self) -> bool:
        column = self.column
        return not (column.nullable or column.default is not None or is_array(column.type))

    @property
    def fits(self) -> str:
        """SQL that tells whether a text that is not NULL fits: '1' where any does."""
        return f"isNotNull({self.parsed})" if self.parsed else fits(self.column.type, self.raw)


def can_ingest(source: DataSource) -> bool:
    """Tell whether events can be sent to a data source: not to one with aggregate states."""
    return bool(source.columns) and not any("AggregateFunction(" in _without_simple(c.type) for c in source.columns)


def _without_simple(type_: str) -> str:
    return type_.replace("SimpleAggregateFunction(", "")


def build_mapping(source: DataSource, names: Names) -> Mapping:
    """Return the statements."""
    fields = _fields(source, texts_of(source))
    columns = [f"{f.raw} Nullable(String)" for f in fields]
    columns += [f"{f.parsed} Nullable({f.parsed_type})" for f in fields if f.parsed]
    good = ",\n    ".join(f"{_value(f)} AS {quote_identifier(f.column.name)}" for f in fields)
    bad = ", ".join(f"{f.raw} AS {quote_identifier(f.column.name)}" for f in fields)
    errors = ",\n    ".join(_error(f) for f in fields)
    listed = (
        "if(isValidJSON(__line) AND JSONType(__line) = 'Object', "
        f"arrayFilter(e -> e.2 != '', [\n    {errors}\n]), {_BROKEN})"
    )
    return Mapping(
        f"CREATE TABLE {names.landing} (import_id String, line String) ENGINE = Null",
        f"CREATE TABLE {names.staged} (__import_id String, __line String, {', '.join(columns)}, __ok UInt8) "
        "ENGINE = Null",
        (
            f"CREATE MATERIALIZED VIEW {names.good_view} TO {names.table} AS SELECT\n    {good}\n"
            f"FROM {names.staged} WHERE __ok",
            f"CREATE MATERIALIZED VIEW {names.bad_view} TO {names.quarantine} AS SELECT {bad}, "
            "__errors.1 AS c__error_column, __errors.2 AS c__error, __import_id AS c__import_id, "
            f"now() AS {source.quarantine_time}\n"
            f"FROM (SELECT *, {listed} AS __errors FROM {names.staged} WHERE NOT __ok)",
            f"CREATE MATERIALIZED VIEW {names.map_view} TO {names.staged} AS\n{_map(source, names.landing)}",
        ),
    )


def count_select(source: DataSource, lines: str) -> str:
    """Return the SELECT of import ids and how many of their lines do not fit; `lines` is SQL of (import_id, line)."""
    return f"SELECT __import_id, countIf(NOT __ok) FROM (\n{_map(source, lines)}\n) GROUP BY __import_id"


def _map(source: DataSource, lines: str) -> str:
    texts = texts_of(source)
    fields = _fields(source, texts)
    inner = texts.select(lines, ("import_id AS __import_id", "line AS __line"), [f.raw for f in fields])
    values = "".join(f",\n    {scalar(f.column.type, f.raw)} AS {f.parsed}" for f in fields if f.parsed)
    return f"SELECT *{values},\n    {_all_fit(fields)} AS __ok\nFROM (\n{inner}\n)"


def _fields(source: DataSource, texts: Texts) -> list[_Field]:
    found: list[_Field] = []
    for number, (column, proves) in enumerate(zip(source.columns, texts.parsed, strict=True)):
        type_ = parsed_type(column.type)
        found.append(_Field(column, f"__{number}", f"__v{number}" if type_ else "", type_, proves))
    return found


def _all_fit(fields: list[_Field]) -> str:
    """Return SQL that tells whether a line is a JSON object whose values fit.

    Texts come of valid JSON only, so it is parsed again only where no text tells.
    """
    conditions = ["startsWith(__line, '{')"]
    for f in fields:
        if f.required:
            conditions += [f"isNotNull({f.parsed or f.raw})", *((f.fits,) if not f.parsed and f.fits != "1" else ())]
        elif f.fits != "1":
            conditions.append(f"(isNull({f.raw}) OR {f.fits})")
    if not any(f.required and f.proves for f in fields):
        proofs = [f"isNotNull({f.raw})" for f in fields if f.proves]
        conditions.append(f"({' OR '.join([*proofs, 'isValidJSON(__line)'])})")
    return " AND ".join(conditions)


def _value(f: _Field) -> str:
    """Return SQL for the column's final value; only rows without errors get here."""
    column, target = f.column, quote_literal(f.column.type)
    own = f.parsed if column.nullable else f"assumeNotNull({f.parsed})"
    present = f"CAST({own if f.parsed else value(column.type, f.raw)}, {target})"
    if column.default is None:
        return present
    return f"if(isNull({f.raw}), CAST({column.default.text}, {target}), {present})"


def _error(f: _Field) -> str:
    """Return SQL for `(column, message)`; an empty message is no error."""
    column = f.column
    name = quote_literal(column.name)
    missing = "''"
    if f.required:
        text = f"value is missing or null on column '{column.name}', which is {column.type} and has no DEFAULT"
        missing = quote_literal(text)
    head = quote_literal("value '")
    tail = quote_literal(f"' on column '{column.name}' is not {base(column.type)}")
    wrong = f"concat({head}, leftUTF8(assumeNotNull({f.raw}), 200), {tail})"
    return f"({name}, multiIf(isNull({f.raw}), {missing}, {f.fits}, '', {wrong}))"
