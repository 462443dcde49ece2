"""Checks whether events can be written to a data source: converts an example of each column's type."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from clickpipe.columns import Raw, holder, judge, named_field, plain, sample, taken, takes_json
from clickpipe.compiler.checker import Checker, CheckFailure
from clickpipe.diagnostics import Diagnostic, Severity
from clickpipe.project import Column, DataSource
from clickpipe.sql import quote_literal

# Tests prove that these accept their examples; only other types are checked.
_KNOWN = re.compile(
    r"(?:String|FixedString|U?Int\d+|B?Float\d+|Decimal\d*|Date(?:32|Time|Time64)?|Time(?:64)?|Bool|UUID|IPv[46]"
    r"|Enum(?:8|16)?|JSON|Dynamic)(?:\(|$)"
)


_FREE = re.compile(r"\b(?:JSON|Dynamic)\b")  # they may hold texts, each kind in a column of its own
_OF_NUMBERS = re.compile(r"\b(?:Delta|DoubleDelta|Gorilla|T64|FPC|GCD)\b", re.IGNORECASE)


def check_ingestion(checker: Checker, sources: Iterable[DataSource]) -> list[Diagnostic]:
    """Report columns that are filled from events but have a type to which nothing can be written."""
    asked = [column for source in sources for column in taken(source) if not _is_known(column.type)]
    types = sorted({column.type for column in asked})
    answers = checker.describe_all([(_question(type_), {}) for type_ in types])
    refused = {t: found for t, found in zip(types, answers, strict=True) if isinstance(found, CheckFailure)}
    return [_diagnostic(column) for column in asked if column.type in refused]


def check_codecs(sources: Iterable[DataSource]) -> list[Diagnostic]:
    """Warn of columns with a codec for which ClickHouse makes the table, and then refuses rows."""
    found: list[Diagnostic] = []
    for column in (column for source in sources for column in source.columns if column.codec):
        codec = _OF_NUMBERS.search(column.codec or "")
        if codec is not None and _FREE.search(plain(column.type)):
            message = f"ClickHouse may refuse rows because of '{column.name}': the codec {codec[0]} takes only numbers"
            hint = "remove the codec, or take ZSTD"
            found.append(Diagnostic("CP4009", message, column.span, Severity.WARNING, hint))
    return found


def _is_known(type_: str) -> bool:
    own = plain(type_)
    if (found := holder(own)) is not None:
        return all(_is_known(named_field(argument)[1]) for argument in found[1])
    return _KNOWN.match(own) is not None


def _question(type_: str) -> str:
    """Return a SELECT that ClickHouse refuses unless the type accepts its example: it evaluates constants early."""
    value = sample(type_, "x")
    text = json.dumps(value) if takes_json(type_) or not isinstance(value, str) else value
    raw = f"CAST({quote_literal(text)}, 'Nullable(String)')"
    fits = judge(type_, Raw(raw, raw if takes_json(type_) else "")).fits
    return f"SELECT CAST(if({fits}, '1', 'it does not fit'), 'UInt8')"


def _diagnostic(column: Column) -> Diagnostic:
    message = f"events cannot be written to a column of type {column.type}"
    hint = "have a materialized view fill it, or give the column a type such as String, Array or JSON"
    return Diagnostic("CP4009", message, column.span, hint=hint)
