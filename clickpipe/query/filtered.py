"""Callers limited to some rows of a data source must learn nothing about the other rows.

ClickHouse applies a row filter when it reads a table, but some things happen earlier: conditions on virtual columns and
partition keys are evaluated for whole parts, and a Join table on the right of a JOIN is looked up by key. Therefore a
caller's own SQL reads tables and pipes through a sub-query with LIMIT, past which ClickHouse moves no conditions.
Results do not say how much was read and are not cached, and an error is explained only if the SQL alone caused it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from clickpipe.catalog import Live
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import TELLING_LIMITS, Engine, EngineError, Parts, QueryResult, Settings, only_rows
from clickpipe.query.conditions import compose_condition
from clickpipe.query.formats import OutputFormat
from clickpipe.query.options import QueryOptions
from clickpipe.sql import Composition, conditions_may_fail, is_read_apart, reads_apart

# Errors that ClickHouse raises before it reads a row, or regardless of the rows.
_TOLD = frozenset(
    {"AMBIGUOUS_COLUMN_NAME", "AMBIGUOUS_IDENTIFIER", "BAD_QUERY_PARAMETER", "ILLEGAL_AGGREGATION", "ILLEGAL_FINAL"}
    | {"ILLEGAL_PREWHERE", "ILLEGAL_TYPE_OF_ARGUMENT", "INVALID_JOIN_ON_EXPRESSION", "NOT_AN_AGGREGATE"}
    | {"NO_COMMON_TYPE", "NUMBER_OF_ARGUMENTS_DOESNT_MATCH", "QUERY_WAS_CANCELLED", "SAMPLING_NOT_SUPPORTED"}
    | {"SYNTAX_ERROR", "TIMEOUT_EXCEEDED", "TYPE_MISMATCH", "UNION_ALL_RESULT_STRUCTURES_MISMATCH"}
    | {"UNKNOWN_FUNCTION", "UNKNOWN_IDENTIFIER", "UNKNOWN_QUERY_PARAMETER", "UNKNOWN_TABLE", "UNKNOWN_TYPE"}
)
_HIDDEN = "Why this query fails is not told to a token that may read some rows only: it may tell of others"
_COUNTED = re.compile(rb"((?:\"|<)(rows|bytes)_read(?:\": |>))\d+")
_LIMITED = re.compile(rb"([\"<]rows_before_limit_at_least(?:\": |>))\d+((?:,|</rows_before_limit_at_least>)\s*)$")
_TAIL = 400  # bytes at a result's end that contain its statistics


def filter_settings(engine: Engine, live: Live, filters: Mapping[str, str]) -> Settings:
    """Return settings that make ClickHouse return only the rows that a caller may read.

    It filters when it reads a table, before all conditions of the query except PREWHERE, so that an error in a
    condition reveals nothing about other rows; moving conditions to PREWHERE is off. Raises ClickpipeError 400.
    """
    found: dict[str, str] = {}
    for name, condition in filters.items():
        table = live.table(live.compiled.project.canonical(name))
        if table is not None:
            found[table.replace("`", "")] = compose_condition(engine, live, condition)
    return only_rows(found)


def without_guesses(settings: Settings) -> Settings:
    """Return a caller's settings without limits that would reveal how much is read."""
    return {name: value for name, value in settings.items() if name not in TELLING_LIMITS}


def _require_filters_hold(live: Live, filters: Iterable[str], composed: Composition) -> None:
    """Raise ClickpipeError 403 if a query reads rows that filters do not cover: of a Join or a quarantine."""
    joins: dict[tuple[str, ...], str] = {}
    apart: dict[tuple[str, ...], str] = {}
    for given in filters:
        name = live.compiled.project.canonical(given)
        source, table = live.compiled.data_sources.get(name), live.table(name)
        if source is not None and table is not None and source.engine.name.text == "Join":
            joins[tuple(table.replace("`", "").split("."))] = name
        if (aside := live.table(f"{name}_quarantine")) is not None:
            apart[tuple(aside.replace("`", "").split("."))] = name
    if apart and (name := _read_of(composed, apart)):
        message = f"What reads the quarantine of '{name}' is not for a token that may read some of its rows only."
        raise ClickpipeError(message, status=403, code="forbidden")
    if joins and (name := _joined(composed, joins)):
        message = f"'{name}' is not for a token that may read some of its rows only: its engine, Join, has no filters."
        raise ClickpipeError(message, status=403, code="forbidden")


def _read_of(composed: Composition, tables: Mapping[tuple[str, ...], str]) -> str:
    """Return the name of one of these tables that is read, or ''."""
    for new in composed.tables.values():
        found = _read_of(new, tables) if isinstance(new, Composition) else tables.get(new, "")
        if found:
            return found
    return ""


def _joined(composed: Composition, joins: Mapping[tuple[str, ...], str]) -> str:
    """Return the name of a Join table that is read other than in a sub-query of its own, or ''."""
    by_itself = is_read_apart(composed.syntax.text)
    for new in composed.tables.values():
        if isinstance(new, Composition):
            if found := _joined(new, joins):
                return found
        elif new in joins and not by_itself:
            return joins[new]
    return ""


def read_within(live: Live, composed: Composition, filters: Iterable[str], *, own: bool = False) -> frozenset[str]:
    """Return the filtered data sources that pipes must read in sub-queries of their own; none if that is unnecessary.

    ClickHouse evaluates a pipe's conditions on keys, on indexes and in PREWHERE before a filter. If such a condition
    may fail, whether it does would tell the caller, who chooses the parameters, about rows that the filter hides.
    Conditions that cannot fail can use indexes. With `own`, the outermost statement is the caller's and is checked
    elsewhere. Raises ClickpipeError 403 for PREWHERE, which works only on tables.
    """
    filtered = {live.compiled.project.canonical(name) for name in filters}
    texts = [one.syntax for one in _every(composed)][1 if own else 0 :]
    read = {live.compiled.project.canonical(table.full_name) for text in texts for table in text.tables}
    if not filtered & read or not conditions_may_fail([text.tree for text in texts], _types(live, read)):
        return frozenset()
    if any('"prewhere"' in text.tree for text in texts):
        message = (
            "This pipe has a PREWHERE, and a condition that may fail for some rows: it is not for a token that may "
            "read some rows only, to which it would tell of others. Use WHERE."
        )
        raise ClickpipeError(message, status=403, code="forbidden")
    return frozenset(filtered)


def _every(composed: Composition) -> Iterator[Composition]:
    """Yield a composition and all nested ones, except those that only wrap a table in a sub-query."""
    if not is_read_apart(composed.syntax.text):
        yield composed
    for new in composed.tables.values():
        if isinstance(new, Composition):
            yield from _every(new)


def _types(live: Live, names: Iterable[str]) -> dict[str, set[str]]:
    """Return column name → types, over these data sources."""
    found: dict[str, set[str]] = {}
    for name in names:
        source = live.compiled.data_sources.get(name)
        for column in source.columns if source else ():
            found.setdefault(column.name, set()).add(column.type)
    return found


def require_hidden(live: Live, composed: Composition, options: QueryOptions) -> None:
    """Raise ClickpipeError 403 if a query would tell a caller with row filters about other rows."""
    if options.is_limited:
        _require_uncounted(options.output)
        _require_filters_hold(live, options.filters, composed)


def _require_uncounted(output: OutputFormat) -> None:
    """Raise ClickpipeError 403 for a format that reports how much has been read."""
    if output.clickhouse.endswith("WithProgress"):
        message = f"The format {output.clickhouse} is not for a token that may read some rows only: it counts them all."
        raise ClickpipeError(message, status=403, code="forbidden")


def hide_rows(error: EngineError) -> str:
    """Return the error message to show to a caller with row filters."""
    return error.message if error.name in _TOLD else _HIDDEN


def own_rows(result: QueryResult, text: str) -> QueryResult:
    """Return a result with statistics that count its own rows, not the rows read for it; `text` is its SQL.

    If tables are wrapped in sub-queries with LIMIT, the count of rows before LIMIT is replaced as well: it includes
    those LIMITs, and may depend on hidden rows.
    """
    limits = reads_apart(text)
    body, tail = result.body[:-_TAIL], result.body[-_TAIL:]
    if result.more is not None:
        return replace(
            result, body=body, more=_UncountedParts(result.more, tail, result.rows, len(result.body), limits=limits)
        )
    return replace(result, body=body + _own_counts(tail, result.rows, len(result.body), limits=limits))


def _own_counts(tail: bytes, rows: int, size: int, *, limits: bool) -> bytes:
    start = max(tail.rfind(b'"statistics":'), tail.rfind(b"<statistics>"))
    if start < 0:
        return tail
    size -= len(tail) - start  # without the statistics, whose length varies with the times in them
    counted = _COUNTED.sub(lambda m: m[1] + str(rows if m[2] == b"rows" else size).encode(), tail[start:])
    before = _LIMITED.sub(lambda m: m[1] + str(rows).encode() + m[2], tail[:start]) if limits else tail[:start]
    return before + counted


class _UncountedParts:
    """The rest of a streamed result, with statistics that count its own rows and bytes."""

    def __init__(self, parts: Parts, tail: bytes, rows: int, size: int, *, limits: bool) -> None:
        self._parts, self._rows, self._size = parts, rows, size
        self._tail: bytes | None = tail
        self._limits = limits

    def take(self) -> bytes | None:
        while self._tail is not None:
            part = self._parts.take()
            if part is None:
                tail, self._tail = self._tail, None
                return _own_counts(tail, self._rows, self._size, limits=self._limits) or None
            self._size += len(part)
            data, self._tail = (self._tail + part)[:-_TAIL], (self._tail + part)[-_TAIL:]
            if data:
                return data
        return None

    def close(self) -> None:
        self._parts.close()
