"""How a data source's events become rows, as statements that ClickHouse runs.

    lines -> staged (in memory: texts and values of columns, whether all fit) -> the data source
                                                                              -> its quarantine

`staged` holds what is logged and not inserted yet, so each line is parsed once, and counted there. It has nothing that
the log has not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from clickpipe.columns import (
    Judgement,
    Raw,
    base,
    is_array,
    is_nullable,
    judge,
    nested_fields,
    number_by_its_looks,
    takes_json,
)
from clickpipe.compiler import fingerprint
from clickpipe.engine import Settings
from clickpipe.ingest.apart import leans, settings_apart
from clickpipe.ingest.csv_rows import CsvTexts
from clickpipe.ingest.extract import Texts, texts_of
from clickpipe.project import Column, DataSource
from clickpipe.sql import quote_identifier, quote_literal

STAGED = "clickpipe_staged"  # the database of all staged lines
_BROKEN = "[('', concat('the line is not a JSON object: ', __line))]"
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
    _leans: re.Pattern[bytes] | None = None

    def settings(self, lines: Iterable[bytes]) -> Settings:
        """Return the settings with which lines are staged, so that no row's values depend on another row."""
        return settings_apart(self._leans, lines)

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
    """A column on its way: `raw` names its text, `parsed` what the text was judged to be, of type `parsed_type`.

    `parsed` is NULL where the text does not fit; of a type that cannot be NULL it is a tuple (value, fits). It is ''
    for texts, which are values as they are.
    """

    column: Column
    raw: str
    parsed: str
    judgement: Judgement
    proves: bool  # a text there is proves that the line is JSON

    @property
    def parsed_type(self) -> str:
        type_ = self.judgement.type
        return f"Nullable({type_})" if self.judgement.nullable else f"Tuple({type_}, UInt8)"

    @property
    def select(self) -> str:
        """SQL of `parsed`."""
        judged = self.judgement
        return (
            f"{judged.value if judged.nullable else f'tuple({judged.value}, toUInt8({judged.fits}))'} AS {self.parsed}"
        )

    @property
    def takes_null(self) -> bool:
        return self.column.nullable or is_nullable(self.column.type)

    @property
    def required(self) -> bool:
        return not (self.takes_null or self.column.default is not None or is_array(self.column.type))

    @property
    def fits(self) -> str:
        """SQL that tells whether a text that is not NULL fits: '1' where any does."""
        if not self.parsed:
            return "1"
        return f"isNotNull({self.parsed})" if self.judgement.nullable else f"tupleElement({self.parsed}, 2)"

    @property
    def value(self) -> str:
        """SQL of the column's value; only rows without errors get here."""
        type_ = self.column.type
        if not self.parsed:
            found = self.raw if self.takes_null else f"assumeNotNull({self.raw})"
        elif self.judgement.nullable:
            found = self.parsed if self.takes_null else f"assumeNotNull({self.parsed})"
        else:
            found = f"tupleElement({self.parsed}, 1)"
            found = f"if(isNull({self.raw}), NULL, {found})" if self.column.nullable else found
        as_it_is = {"String", self.judgement.type} if not self.column.nullable else {f"Nullable({self.judgement.type})"}
        present = found if type_ in as_it_is or nested_fields(type_) else f"CAST({found}, {quote_literal(type_)})"
        default = self.column.default
        if default is None:
            return present
        return f"if(isNull({self.raw}), CAST({default.text}, {quote_literal(type_)}), {present})"

    @property
    def values(self) -> list[tuple[str, str]]:
        """The table's columns, quoted, and their values: a Nested has one for each of its fields."""
        fields = nested_fields(self.column.type)
        if not fields:
            return [(quote_identifier(self.column.name), self.value)]
        return [
            (quote_identifier(f"{self.column.name}.{name}"), f"tupleElement({self.value}, {number})")
            for number, name in enumerate(fields, 1)
        ]


@dataclass(frozen=True, slots=True)
class Replay:
    """The statements of a replay: count what fits now, all rows, and hash them; insert what fits; keep the others."""

    count: str
    good: str
    keep: str


def build_mapping(
    source: DataSource,
    owner: str,
    table: str,
    quarantine: str,
    *,
    quoted: bool = False,
    texts: Texts | CsvTexts | None = None,
) -> RowMapping:
    """Return the statements for a data source of a workspace (`owner`) and its quoted physical tables.

    `quoted`: values come as texts, whatever they are. `texts` are those of lines of JSON, if not given.
    """
    texts = texts or texts_of(source)
    fields = _fields(source, texts, quoted=quoted)
    columns = ["__import_id String", "__line String", *(f"{f.raw} Nullable(String)" for f in fields)]
    columns += [f"{f.parsed} {f.parsed_type}" for f in fields if f.parsed]
    columns.append("__ok Bool")
    names = [c.split(" ", 1)[0] for c in columns]
    select = _map(fields, texts)
    mark = fingerprint(*columns, select)
    staged = f"{quote_identifier(STAGED)}.{quote_identifier(f'{owner}_{source.name}_{mark}')}"
    values = [pair for f in fields for pair in f.values]
    into = ", ".join(name for name, _ in values)
    good = ",\n    ".join(f"{value} AS {name}" for name, value in values)
    bad = ", ".join(f"{_kept(f)} AS {quote_identifier(f.column.name)}" for f in fields)
    errors = ",\n    ".join(_error(f) for f in fields)
    listed = (
        "if(isValidJSON(__line) AND JSONType(__line) = 'Object', "
        f"arrayFilter(e -> e.2 != '', [\n    {errors}\n]), {_BROKEN})"
    )
    faulty = f"(SELECT *, {listed} AS __errors FROM {staged} WHERE NOT __ok)"
    kept = [quote_identifier(f.column.name) for f in fields]
    kept = [*kept, "c__error_column", "c__error", "c__import_id", source.quarantine_time]
    to_quarantine = f"INSERT INTO {quarantine} ({', '.join(kept)})\nSELECT {bad}"
    return RowMapping(
        staged,
        f"CREATE TABLE IF NOT EXISTS {staged} ({', '.join(columns)}) ENGINE = Memory",
        f"INSERT INTO {table} ({into}) SELECT\n    {good}\nFROM {staged} WHERE __ok",
        f"{to_quarantine}, __errors.1, __errors.2, __import_id, now()\nFROM {faulty}",
        f"SELECT __import_id, any(__errors.2[1]) FROM {faulty} WHERE __import_id IN {{ids:Array(String)}} "
        "GROUP BY __import_id",
        f"{to_quarantine}, [__where], [__why], __import_id, now()\nFROM {_MARK}",
        f"INSERT INTO {staged} ({', '.join(names)}) {select}",
        leans(source),
    )


def build_replay(source: DataSource, table: str, quarantine: str, beside: str) -> Replay:
    """Return the statements by which rows of a quarantine that fit now are moved; `beside` takes its place."""
    fields = _fields(source)
    texts = ", ".join(f"{quote_identifier(f.column.name)} AS {f.raw}" for f in fields)
    judged = "".join(f", {f.select}" for f in fields if f.parsed)
    fit = " AND ".join(["NOT has(c__error_column, '')", *_fitting(fields)])
    rows = f"(SELECT *{judged}, {fit} AS __ok FROM (SELECT *, {texts} FROM {quarantine}))"
    own = ", ".join(quote_identifier(f.column.name) for f in fields)
    values = [pair for f in fields for pair in f.values]
    good = ", ".join(f"{value} AS {name}" for name, value in values)
    into = ", ".join(name for name, _ in values)
    kept = f"{own}, c__error_column, c__error, c__import_id, {source.quarantine_time}"
    needed = ", ".join([f.raw for f in fields] + [f.parsed for f in fields if f.parsed])
    return Replay(
        f"SELECT countIf(__ok), count(), toString(sum(cityHash64(toString(tuple({kept}))))) FROM {rows}",
        f"INSERT INTO {table} ({into}) SELECT {good} "
        f"FROM (SELECT {needed}, c__import_id AS __import_id FROM {rows} WHERE __ok){IN_ONE_BLOCK}",
        f"INSERT INTO {beside} ({kept}) SELECT {kept} FROM {rows} WHERE NOT __ok",
    )


def _map(fields: list[_Field], texts: Texts | CsvTexts) -> str:
    columns = ["import_id AS __import_id", "line AS __line"]
    columns += [f"{sql} AS {f.raw}" for f, sql in zip(fields, texts.columns, strict=True)]
    columns += [f.select for f in fields if f.parsed]
    listed = ",\n    ".join([*columns, f"{_all_fit(fields, texts)} AS __ok"])
    return f"SELECT\n    {listed}\nFROM ({texts.read(_MARK)})"


def _fields(source: DataSource, texts: Texts | CsvTexts | None = None, *, quoted: bool = True) -> list[_Field]:
    """Return a data source's columns on their way: from lines, or (without `texts`) from rows of its quarantine."""
    found: list[_Field] = []
    for number, column in enumerate(source.columns):
        raw = f"__{number}"
        is_number = number_by_its_looks(raw) if texts is None or quoted else texts.numbers[number]
        judged = judge(column.type, Raw(raw, raw if takes_json(column.type) else "", is_number))
        parsed = "" if judged.type == "String" else f"__v{number}"
        found.append(_Field(column, raw, parsed, judged, texts.parsed[number] if texts else False))
    return found


def _all_fit(fields: list[_Field], texts: Texts | CsvTexts) -> str:
    """Return SQL that tells whether a line is a JSON object whose values fit.

    Texts come of valid JSON only, so it is parsed again only where no text tells.
    """
    conditions = ["__line = '{}'" if isinstance(texts, CsvTexts) else "startsWith(__line, '{')", *_fitting(fields)]
    fit = f"{' + '.join(f'(NOT {condition})' for condition in conditions)} = 0"  # half the time of AND
    if isinstance(texts, CsvTexts) or any(f.required and f.proves for f in fields):
        return fit
    proofs = [f"isNotNull({f.raw})" for f in fields if f.proves]
    return f"{fit} AND ({' OR '.join([*proofs, 'isValidJSON(__line)'])})"


def _fitting(fields: list[_Field]) -> list[str]:
    """Return SQL conditions, all of which hold where all texts fit."""
    conditions: list[str] = []
    for f in fields:
        if f.required:
            by_value = f.parsed and f.judgement.nullable
            conditions += [f.fits] if by_value else [f"isNotNull({f.raw})", *([f.fits] if f.parsed else [])]
        elif f.fits != "1":
            conditions.append(f"(isNull({f.raw}) OR {f.fits})")
    return conditions


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
