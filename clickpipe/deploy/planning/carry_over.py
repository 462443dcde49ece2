"""Copies a table's rows into its replacement: by FORWARD_QUERY, or column by column with lossless casts."""

from __future__ import annotations

import json
import re

from clickpipe.compiler import conversion
from clickpipe.deploy.planning.step import Copy
from clickpipe.diagnostics import Span, Word
from clickpipe.engine import Engine, EngineError
from clickpipe.project import DataSource
from clickpipe.sql import check, quote_identifier, quote_literal

_LOW_CARDINALITY = re.compile(r"^LowCardinality\((.*)\)$", re.DOTALL)
_NULLABLE = re.compile(r"^(?:LowCardinality\(|SimpleAggregateFunction\(\s*\w+\s*,\s*)?Nullable\(")
_NULL = re.compile(r"^Nullable\((.*)\)$", re.DOTALL)
_CUT = ("Date", "Decimal", "Float", "Int", "UInt")  # types of whose values an accurate cast leaves something out
_ENUM = re.compile(r"\bEnum(?:8|16)?\((?:'(?:[^'\\]|\\.|'')*+'|[^'()])*+\)", re.DOTALL)
_CONTEXT = re.compile(r"[.:] (?:while executing|In scope|Maybe you meant)|\n")


class CannotCopy(Exception):
    """Rows cannot be copied: the reason with a hint, and the place in the author's file."""

    def __init__(self, message: str, span: Span) -> None:
        """Create the error with its reason and place."""
        super().__init__(message)
        self.span = span


def carry_over(engine: Engine, before: DataSource, after: DataSource, old: str) -> Copy:
    """Return the copy of rows from the table `old` into the new one. Raises CannotCopy.

    An empty table is copied too: rows may arrive before the deployment is applied.
    """
    if after.forward_query is not None:
        return _forward(engine, before, after, after.forward_query, old)
    names: list[str] = []
    values: list[str] = []
    for column in after.columns:
        source = before.column(column.name)
        if source is None:
            continue
        quoted = quote_identifier(column.name)
        names.append(column.name)
        if source.type == column.type:
            values.append(quoted)
            continue
        by_name, given = _by_name(quoted, source.type, column.type)
        values.append(f"accurateCast({by_name}, {quote_literal(column.type)})")
        if (lost := _lossy(engine, old, by_name, given, column.type)) != "":
            hint = "say with FORWARD_QUERY what becomes of them"
            message = f"Column '{column.name}' changes from {source.type} to {column.type}: {lost}; {hint}"
            raise CannotCopy(message, column.span)
    if not names:
        message = (
            "No column of the live table is left; say with FORWARD_QUERY what becomes of its rows, or BACKFILL skip"
        )
        raise CannotCopy(message, after.columns[0].span)
    return Copy(old, f"SELECT {', '.join(values)} FROM {old}", tuple(names))


def _by_name(quoted: str, given: str, type_: str) -> tuple[str, str]:
    """Return SQL of a column's values with Enums as texts, and their type, if both types have any.

    ClickHouse casts an Enum to another by the numbers, so that a name which got another number would become a new one.
    """
    texts = _ENUM.sub("String", given)
    if texts == given or not _ENUM.search(type_):
        return quoted, given
    return f"CAST({quoted}, {quote_literal(texts)})", texts


def _forward(engine: Engine, before: DataSource, after: DataSource, query: Word, old: str) -> Copy:
    """Append FROM the old table to the author's SELECT, which has no FROM.

    A column that both tables have must be in it, and what it gives must fit: ClickHouse would insert defaults, numbers
    that overflow, and zeros for NULL without a word.
    """
    try:
        refusal = check(engine.syntax_tree(query.text), (), settings=False)
        if refusal is not None:
            message = f"FORWARD_QUERY: {refusal.message}"
            raise CannotCopy(message, query.span)
        given = {c.name: c.type for c in engine.describe(f"{query.text}\nFROM {old}")}
    except EngineError as error:
        message = f"FORWARD_QUERY over the live table: {_CONTEXT.split(error.message, maxsplit=1)[0]}"
        raise CannotCopy(message, query.span) from None
    unknown = [name for name in given if after.column(name) is None]
    if unknown:
        message = f"FORWARD_QUERY gives {', '.join(unknown)}, which the schema does not have"
        raise CannotCopy(message, query.span)
    if left_out := [c.name for c in after.columns if c.name not in given and before.column(c.name)]:
        message = f"FORWARD_QUERY leaves out {', '.join(left_out)}: the values would be lost. Select what they become"
        raise CannotCopy(message, query.span)
    for column in after.columns:
        type_ = given.get(column.name, column.type)
        if lost := _unfitting(engine, f"({query.text}\nFROM {old})", quote_identifier(column.name), type_, column.type):
            message = f"FORWARD_QUERY gives '{column.name}' as {type_}, and {column.type} takes its place: {lost}"
            raise CannotCopy(message, query.span)
    return Copy(old, f"{query.text}\nFROM {old}", tuple(given))


def _unfitting(engine: Engine, rows: str, column: str, given: str, type_: str) -> str:
    """Return why values of a FORWARD_QUERY do not fit a column; '' if they do, or if they may lose digits only."""
    if given == type_ or not (why := conversion(given, type_)):
        return ""
    plain = _LOW_CARDINALITY.sub(r"\1", type_)
    null = f" AND isNotNull({column})" if _NULLABLE.match(type_) else ""
    number = re.match(r"^(?:Decimal|Float|BFloat)", _NULL.sub(r"\1", plain)) is not None
    cast = f"accurateCastOrNull({column}, {quote_literal(plain)})"
    lossy = f"isNull({column})" if number else f"isNull({cast})"
    enums = _by_name(column, given, type_)[0] != column
    if enums:
        lossy = f"ifNull(toString({cast}) != toString({column}), 1)"
    try:
        sql = f"SELECT countIf({lossy}{null}) FROM {rows}"
        lost = int(json.loads(engine.execute(sql, output="JSONCompact").body)["data"][0][0])
    except EngineError:  # some types do not support this check: the insert tells
        return why if enums else ""
    return f"{lost} rows do not fit the new type" if lost else ""


def _lossy(engine: Engine, table: str, column: str, given: str, type_: str) -> str:
    """Return why a column's values cannot all be cast without loss; '' if they can.

    ClickHouse's accurate cast cuts times and decimals without a word: what it makes of these has to give them back.
    """
    plain = _LOW_CARDINALITY.sub(r"\1", type_)
    kept = f"accurateCastOrNull({column}, {quote_literal(plain)})"
    null = f" AND isNotNull({column})" if _NULLABLE.match(type_) else ""
    lossy = f"isNull({kept}){null}"
    own = _NULL.sub(r"\1", _LOW_CARDINALITY.sub(r"\1", given))
    if own.startswith(_CUT) and conversion(own, plain):
        back = f"CAST(assumeNotNull({kept}), {quote_literal(own)})"
        differs = f"toString({back}) != toString(assumeNotNull({column}))"  # as texts: NaN is NaN
        lossy = f"({lossy}) OR if(isNull({column}) OR isNull({kept}), 0, {differs})"
    sql = f"SELECT countIf({lossy}) FROM {table}"
    try:
        lost = int(json.loads(engine.execute(sql, output="JSONCompact").body)["data"][0][0])
    except EngineError:  # some types do not support this check
        try:
            sql = f"SELECT sum(ignore(accurateCast({column}, {quote_literal(type_)}))) FROM {table}"
            engine.execute(sql, output="Null")
        except EngineError as error:
            return f"ClickHouse cannot convert it ({_CONTEXT.split(error.message, maxsplit=1)[0]})"
        return ""
    return f"{lost} rows do not fit the new type" if lost else ""
