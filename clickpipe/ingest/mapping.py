"""How a data source's events become rows, as statements that ClickHouse runs.

    lines -> staged (in memory: texts and values of columns, whether all fit) -> the data source
                                                                              -> its quarantine

`staged` holds what is logged and not inserted yet, so each line is parsed once, and counted there. It has nothing that
the log has not.
"""

from __future__ import annotations

from dataclasses import dataclass

from clickpipe.compiler import fingerprint
from clickpipe.ingest.extract import Texts, texts_of
from clickpipe.ingest.types import base, fits, is_array, parsed_type, scalar, value
from clickpipe.project import Column, DataSource
from clickpipe.sql import quote_identifier, quote_literal

STAGED = "clickpipe_staged"  # the database of all staged lines
_BROKEN = "[('', concat('the line is not a JSON object: ', leftUTF8(__line, 1000)))]"
_MARK = "{lines}"
# Behind an insert whose rows are in several blocks: what one thread sorts is one. Tokens are made by blocks.
IN_ONE_BLOCK = "\nORDER BY __import_id"


@dataclass(frozen=True, slots=True)
class RowMapping:
    """The statements of one data source's ingestion: make the table, insert its good rows, and its bad ones.

    `reasons` selects an import id and what is wrong with one of its rows, for those of `ids` that have a bad one.
    """

    table: str
    create: str
    good: str
    bad: str
    reasons: str
    _refused: str
    _fill: str

    def good_of(self, rows: str, into: str = "") -> str:
        """Return the statement that inserts the rows that fit of `rows`: SQL of a table like the staged one."""
        statement = self.good.replace(f"FROM {self.table} ", f"FROM {rows} ")
        if not into:
            return statement
        return f"INSERT INTO {into} {statement[statement.index('(') :]}"

    def refused_of(self, rows: str) -> str:
        """Return the statement that puts rows into quarantine that fit, and are refused behind.

        `rows` is SQL of a table like the staged one, with `__where` and `__why`.
        """
        return self._refused.replace(_MARK, rows)

    def fill(self, lines: str) -> str:
        """Return the statement that stages lines; `lines` is SQL of a table (import_id, document)."""
        return self._fill.replace(_MARK, lines)

    @property
    def count(self) -> str:
        """Return the SELECT of how many staged lines of each import id fit and do not; `ids` are those asked for."""
        counts = "SELECT __import_id, countIf(__ok), countIf(NOT __ok)"
        return f"{counts} FROM {self.table} WHERE __import_id IN {{ids:Array(String)}} GROUP BY __import_id"

    @property
    def count_all(self) -> str:
        """Return the SELECT of how many staged lines fit and do not: a third of the time of `count`."""
        return f"SELECT countIf(__ok), countIf(NOT __ok) FROM {self.table}"


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


@dataclass(frozen=True, slots=True)
class Replay:
    """The statements of a replay: count what fits now, all rows, and hash them; insert what fits; keep the others."""

    count: str
    good: str
    keep: str


def build_mapping(source: DataSource, owner: str, table: str, quarantine: str) -> RowMapping:
    """Return the statements for a data source of a workspace (`owner`) and its quoted physical tables."""
    texts = texts_of(source)
    fields = _fields(source, texts)
    columns = ["__import_id String", "__line String", *(f"{f.raw} Nullable(String)" for f in fields)]
    columns += [f"{f.parsed} Nullable({f.parsed_type})" for f in fields if f.parsed]
    columns.append("__ok Bool")
    names = [c.split(" ", 1)[0] for c in columns]
    select = _map(fields, texts)
    mark = fingerprint(*columns, select)
    staged = f"{quote_identifier(STAGED)}.{quote_identifier(f'{owner}_{source.name}_{mark}')}"
    good = ",\n    ".join(f"{_value(f)} AS {quote_identifier(f.column.name)}" for f in fields)
    bad = ", ".join(f"{_kept(f)} AS {quote_identifier(f.column.name)}" for f in fields)
    errors = ",\n    ".join(_error(f) for f in fields)
    listed = (
        "if(isValidJSON(__line) AND JSONType(__line) = 'Object', "
        f"arrayFilter(e -> e.2 != '', [\n    {errors}\n]), {_BROKEN})"
    )
    faulty = f"(SELECT *, {listed} AS __errors FROM {staged} WHERE NOT __ok)"
    own = [quote_identifier(f.column.name) for f in fields]
    into = ", ".join([*own, "c__error_column", "c__error", "c__import_id", source.quarantine_time])
    return RowMapping(
        staged,
        f"CREATE TABLE IF NOT EXISTS {staged} ({', '.join(columns)}) ENGINE = Memory",
        f"INSERT INTO {table} ({', '.join(own)}) SELECT\n    {good}\nFROM {staged} WHERE __ok",
        f"INSERT INTO {quarantine} ({into}) SELECT {bad}, __errors.1, __errors.2, __import_id, now()\nFROM {faulty}",
        f"SELECT __import_id, any(__errors.2[1]) FROM {faulty} WHERE __import_id IN {{ids:Array(String)}} "
        "GROUP BY __import_id",
        f"INSERT INTO {quarantine} ({into}) SELECT {bad}, [__where], [__why], __import_id, now()\nFROM {_MARK}",
        f"INSERT INTO {staged} ({', '.join(names)}) {select}",
    )


def build_replay(source: DataSource, table: str, quarantine: str, beside: str) -> Replay:
    """Return the statements by which rows of a quarantine that fit now are moved; `beside` takes its place."""
    fields = _fields(source, texts_of(source))
    texts = ", ".join(f"{quote_identifier(f.column.name)} AS {f.raw}" for f in fields)
    values = "".join(f", {scalar(f.column.type, f.raw)} AS {f.parsed}" for f in fields if f.parsed)
    fit = " AND ".join(["NOT has(c__error_column, '')", *_fitting(fields)])
    rows = f"(SELECT *{values}, {fit} AS __ok FROM (SELECT *, {texts} FROM {quarantine}))"
    own = ", ".join(quote_identifier(f.column.name) for f in fields)
    good = ", ".join(f"{_value(f)} AS {quote_identifier(f.column.name)}" for f in fields)
    kept = f"{own}, c__error_column, c__error, c__import_id, {source.quarantine_time}"
    needed = ", ".join([f.raw for f in fields] + [f.parsed for f in fields if f.parsed])
    return Replay(
        f"SELECT countIf(__ok), count(), toString(sum(cityHash64(toString(tuple({kept}))))) FROM {rows}",
        f"INSERT INTO {table} ({own}) SELECT {good} "
        f"FROM (SELECT {needed}, c__import_id AS __import_id FROM {rows} WHERE __ok){IN_ONE_BLOCK}",
        f"INSERT INTO {beside} ({kept}) SELECT {kept} FROM {rows} WHERE NOT __ok",
    )


def _map(fields: list[_Field], texts: Texts) -> str:
    columns = ["import_id AS __import_id", "line AS __line"]
    columns += [f"{sql} AS {f.raw}" for f, sql in zip(fields, texts.columns, strict=True)]
    columns += [f"{scalar(f.column.type, f.raw)} AS {f.parsed}" for f in fields if f.parsed]
    listed = ",\n    ".join([*columns, f"{_all_fit(fields)} AS __ok"])
    return f"SELECT\n    {listed}\nFROM ({texts.read(_MARK)})"


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
    conditions = ["startsWith(__line, '{')", *_fitting(fields)]
    if not any(f.required and f.proves for f in fields):
        proofs = [f"isNotNull({f.raw})" for f in fields if f.proves]
        conditions.append(f"({' OR '.join([*proofs, 'isValidJSON(__line)'])})")
    return " AND ".join(conditions)


def _fitting(fields: list[_Field]) -> list[str]:
    """Return SQL conditions, all of which hold where all texts fit."""
    conditions: list[str] = []
    for f in fields:
        if f.required:
            conditions += [f"isNotNull({f.parsed or f.raw})", *((f.fits,) if not f.parsed and f.fits != "1" else ())]
        elif f.fits != "1":
            conditions.append(f"(isNull({f.raw}) OR {f.fits})")
    return conditions


def _value(f: _Field) -> str:
    """Return SQL for the column's final value; only rows without errors get here."""
    column, target = f.column, quote_literal(f.column.type)
    own = f.parsed if column.nullable else f"assumeNotNull({f.parsed})"
    present = own if f.parsed else value(column.type, f.raw)
    if column.type not in {"String", f.parsed_type}:
        present = f"CAST({present}, {target})"
    if column.default is None:
        return present
    return f"if(isNull({f.raw}), CAST({column.default.text}, {target}), {present})"


def _kept(f: _Field) -> str:
    """Return SQL for the text that a quarantine keeps: an array's elements are no columns' values."""
    return f"if(startsWith(__line, '{{'), {f.raw}, NULL)" if f.proves else f.raw


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
