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

from clickpipe.compiler import fingerprint
from clickpipe.engine import Settings
from clickpipe.ingest.apart import leans, settings_apart
from clickpipe.ingest.csv_rows import CsvTexts
from clickpipe.ingest.extract import Texts, texts_of
from clickpipe.ingest.fields import Field, error_of, fields_of, kept_text, unfitting
from clickpipe.ingest.messages import IS_REFUSED, REFUSAL
from clickpipe.project import DataSource, is_kafka
from clickpipe.sql import quote_identifier

STAGED = "clickpipe_staged"  # the database of all staged lines
# Rows of CSV say themselves what they are.
_OF_CSV = "match(__line, '^a row (of [0-9]+ fields where|with bytes that) ')"
_BROKEN = f"[('', if({_OF_CSV}, __line, concat('the line is not a JSON object: ', __line)))]"
_UNFIT = "'a row does not fit'"
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
    _direct: str
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

    def direct(self, lines: str) -> str:
        """Return the statement that inserts lines without staging them; it fails where one does not fit.

        `lines` is SQL of a table as for `fill`.
        """
        return self._direct.replace(_MARK, lines)

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


def build_replay(source: DataSource, table: str, quarantine: str, beside: str) -> Replay:
    """Return the statements by which rows of a quarantine that fit now are moved; `beside` takes its place."""
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
        f"INSERT INTO {beside} ({kept}) SELECT {kept} FROM {rows} WHERE NOT __ok",
    )


def _map(fields: list[Field], texts: Texts | CsvTexts, refused: Iterable[str]) -> str:
    columns = ["import_id AS __import_id", "line AS __line"]
    columns += [f"{sql} AS {f.raw}" for f, sql in zip(fields, texts.columns, strict=True)]
    columns += [f.select for f in fields if f.parsed]
    listed = ",\n    ".join([*columns, f"{_all_fit(fields, texts, refused)} AS __ok"])
    return f"SELECT\n    {listed}\nFROM ({texts.read(_MARK)})"


def _all_fit(fields: list[Field], texts: Texts | CsvTexts, refused: Iterable[str]) -> str:
    """Return SQL that tells whether a line is a JSON object whose values fit; none where one of `refused` holds.

    Texts come of valid JSON only, so it is parsed again only where no text tells.
    """
    no_object = "__line != '{}'" if isinstance(texts, CsvTexts) else "NOT startsWith(__line, '{')"
    fit = _none_of(no_object, *refused, *unfitting(fields))
    if isinstance(texts, CsvTexts) or any(f.required and f.proves for f in fields):
        return fit
    proofs = [f"isNotNull({f.raw})" for f in fields if f.proves]
    return f"{fit} AND ({' OR '.join([*proofs, 'isValidJSON(__line)'])})"


def _none_of(*conditions: str) -> str:
    """Return SQL that holds where no condition does: as one function, which is planned soonest."""
    return f"NOT ({' OR '.join(conditions)})"
