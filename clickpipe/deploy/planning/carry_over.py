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
        return _forward(engine, after, after.forward_query, old)
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
        values.append(f"accurateCast({quoted}, {quote_literal(column.type)})")
        if (lost := _lossy(engine, old, quoted, source.type, column.type)) != "":
            hint = "say with FORWARD_QUERY what becomes of them"
            message = f"Column '{column.name}' changes from {source.type} to {column.type}: {lost}; {hint}"
            raise CannotCopy(message, column.span)
    if not names:
        message = (
            "No column of the live table is left; say with FORWARD_QUERY what becomes of its rows, or BACKFILL skip"
        )
        raise CannotCopy(message, after.columns[0].span)
    return Copy(old, f"SELECT {', '.join(values)} FROM {old}", tuple(names))


def _forward(engine: Engine, after: DataSource, query: Word, old: str) -> Copy:
    """Append FROM the old table to the author's SELECT, which has no FROM."""
    try:
        refusal = check(engine.syntax_tree(query.text), (), settings=False)
        if refusal is not None:
            message = f"FORWARD_QUERY: {refusal.message}"
            raise CannotCopy(message, query.span)
        columns = [c.name for c in engine.describe(f"{query.text}\nFROM {old}")]
    except EngineError as error:
        message = f"FORWARD_QUERY over the live table: {_CONTEXT.split(error.message, maxsplit=1)[0]}"
        raise CannotCopy(message, query.span) from None
    unknown = [name for name in columns if after.column(name) is None]
    if unknown:
        message = f"FORWARD_QUERY gives {', '.join(unknown)}, which the schema does not have"
        raise CannotCopy(message, query.span)
    return Copy(old, f"{query.text}\nFROM {old}", tuple(columns))


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
