"""Generates the statements by which ClickHouse turns a data source's events into rows.

    lines -> staged (in memory: texts and values of columns, whether all fit) -> the data source
                                                                             -> its quarantine

`staged` contains what is logged but not inserted yet, so that each line is parsed, and counted, only once. It contains
nothing that is not in the log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from clickpipe.compiler import fingerprint
from clickpipe.engine import Settings
from clickpipe.ingest.apart import leans, settings_apart
from clickpipe.ingest.csv_texts import CsvTexts
from clickpipe.ingest.extract import Texts, texts_of
from clickpipe.ingest.fields import Field, error_of, fields_of, kept_text, unfitting
from clickpipe.ingest.messages import IS_REFUSED, REFUSAL
from clickpipe.project import DataSource, is_kafka
from clickpipe.sql import quote_identifier

STAGED = "clickpipe_staged"  # the database of all staging tables
# Rows of CSV state themselves what is wrong with them.
_OF_CSV = "match(__line, '^a row (of [0-9]+ fields where|with bytes that|whose quote is) ')"
_BROKEN = f"[('', if({_OF_CSV}, __line, concat('the line is not a JSON object: ', __line)))]"
_UNFIT = "'a row does not fit'"
_MARK = "{lines}"
# Appended to an insert whose rows are in several blocks: sorting with one thread returns one, in the order of the rows.
# Tokens are per block, and engines such as ReplacingMergeTree keep the last of several rows.
IN_ONE_BLOCK = "\nORDER BY rowNumberInAllBlocks()"


@dataclass(frozen=True, slots=True)
class RowMapping:
    """The statements that ingest into one data source: create the staging table, insert good rows, quarantine others.

    `reasons` selects the import id and the error of one unfitting row, for those of `ids` that have any.
    """

    table: str
    create: str
    good: str
    bad: str
    reasons: str
    _refused: str
    _fill: str
    _direct: str
    _leans: re.Pattern[bytes] | None = None

    def settings(self, lines: Iterable[bytes]) -> Settings:
        """Return the settings for staging lines, which keep a row's values from depending on other rows."""
        return settings_apart(self._leans, lines)

    def good_of(self, rows: str, into: str = "") -> str:
        """Return the statement that inserts the fitting rows of `rows`: SQL that reads as a staging table."""
        statement = self.good.replace(f"FROM {self.table} ", f"FROM {rows} ")
        if not into:
            return statement
        return f"INSERT INTO {into} {statement[statement.index('(') :]}"

    def refused_of(self, rows: str) -> str:
        """Return the statement that quarantines rows that fit but were refused later.

        `rows` is SQL that reads as a staging table, with `__where` and `__why`.
        """
        return self._refused.replace(_MARK, rows)

    def fill(self, lines: str) -> str:
        """Return the statement that stages lines; `lines` is SQL that reads as a table (import_id, document)."""
        return self._fill.replace(_MARK, lines)

    def direct(self, lines: str) -> str:
        """Return the statement that inserts lines without staging them; it fails if any does not fit.

        `lines` is SQL that reads as a table, as for `fill`.
        """
        return self._direct.replace(_MARK, lines)

    @property
    def count(self) -> str:
        """Return the SELECT of the numbers of fitting and unfitting staged lines by import id (parameter `ids`)."""
        counts = "SELECT __import_id, countIf(__ok), countIf(NOT __ok)"
        return f"{counts} FROM {self.table} WHERE __import_id IN {{ids:Array(String)}} GROUP BY __import_id"

    @property
    def count_all(self) -> str:
        """Return the SELECT of the numbers of fitting and unfitting staged lines; three times as fast as `count`."""
        return f"SELECT countIf(__ok), countIf(NOT __ok) FROM {self.table}"


@dataclass(frozen=True, slots=True)
class Replay:
    """The statements of a replay: count fitting rows, count and hash all; insert fitting rows; keep the others."""

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

    With `quoted`, all values are strings, whatever their type. `texts` defaults to those of JSON lines.
    """
    texts = texts or texts_of(source)
    fields = fields_of(source, texts, quoted=quoted)
    of_messages = is_kafka(source.connector) and not isinstance(texts, CsvTexts)
    columns = ["__import_id String", "__line String", *(f"{f.raw} Nullable(String)" for f in fields)]
    columns += [f"{f.parsed} {f.parsed_type}" for f in fields if f.parsed]
    columns.append("__ok Bool")
    names = [c.split(" ", 1)[0] for c in columns]
    select = _map(fields, texts, [IS_REFUSED] if of_messages else [])
    mark = fingerprint(*columns, select)
    staged = f"{quote_identifier(STAGED)}.{quote_identifier(f'{owner}_{source.name}_{mark}')}"
    values = [pair for f in fields for pair in f.values]
    into = ", ".join(name for name, _ in values)
    good = ",\n    ".join(f"{value} AS {name}" for name, value in values)
    bad = ", ".join(f"{kept_text(f)} AS {quote_identifier(f.column.name)}" for f in fields)
    errors = ",\n    ".join(error_of(f) for f in fields)
    listed = (
        "if(isValidJSON(__line) AND JSONType(__line) = 'Object', "
        f"arrayFilter(e -> e.2 != '', [\n    {errors}\n]), {_BROKEN})"
    )
    if of_messages:
        listed = f"if({IS_REFUSED}, {REFUSAL}, {listed})"
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
        f"INSERT INTO {table} ({into}) SELECT\n    {good}\nFROM ({select}) WHERE throwIf(NOT __ok, {_UNFIT}) = 0",
        leans(source),
    )


def build_replay(source: DataSource, table: str, quarantine: str, replacement: str) -> Replay:
    """Return the statements that move quarantined rows that now fit; `replacement` becomes the quarantine."""
    fields = fields_of(source)
    texts = ", ".join(f"{quote_identifier(f.column.name)} AS {f.raw}" for f in fields)
    judged = "".join(f", {f.select}" for f in fields if f.parsed)
    fit = _none_of("has(c__error_column, '')", *unfitting(fields))
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
        f"INSERT INTO {replacement} ({kept}) SELECT {kept} FROM {rows} WHERE NOT __ok",
    )


def _map(fields: list[Field], texts: Texts | CsvTexts, refused: Iterable[str]) -> str:
    columns = ["import_id AS __import_id", "line AS __line"]
    columns += [f"{sql} AS {f.raw}" for f, sql in zip(fields, texts.columns, strict=True)]
    columns += [f.select for f in fields if f.parsed]
    listed = ",\n    ".join([*columns, f"{_all_fit(fields, texts, refused)} AS __ok"])
    return f"SELECT\n    {listed}\nFROM ({texts.read(_MARK)})"


def _all_fit(fields: list[Field], texts: Texts | CsvTexts, refused: Iterable[str]) -> str:
    """Return SQL for whether a line is a JSON object whose values fit and none of `refused` holds.

    Values are extracted from valid JSON only, so a line is parsed again only if no value proves that it is valid.
    """
    no_object = "__line != '{}'" if isinstance(texts, CsvTexts) else "NOT startsWith(__line, '{')"
    fit = _none_of(no_object, *refused, *unfitting(fields))
    if isinstance(texts, CsvTexts) or any(f.required and f.proves for f in fields):
        return fit
    proofs = [f"isNotNull({f.raw})" for f in fields if f.proves]
    return f"{fit} AND ({' OR '.join([*proofs, 'isValidJSON(__line)'])})"


def _none_of(*conditions: str) -> str:
    """Return SQL that is true if no condition holds: a single function, which is fastest to plan."""
    return f"NOT ({' OR '.join(conditions)})"
