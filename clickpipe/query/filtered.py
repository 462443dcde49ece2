"""Callers who may read some rows of a data source only: nothing they are told judges or counts the others.

ClickHouse applies a filter where a table is read. Some things happen before: conditions on virtual columns and
partition keys are evaluated for whole parts, and a Join table on the right of a JOIN is read by its key. In a
caller's own SQL, tables and pipes are therefore read behind a LIMIT that no condition is moved through. Counts of what
was read are left out of results, results are not kept, and an error is explained only where SQL alone is its cause.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import replace

from clickpipe.catalog import Live
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, EngineError, Parts, QueryResult, Settings
from clickpipe.query.conditions import compose_condition
from clickpipe.query.formats import OutputFormat
from clickpipe.query.limiter import Running
from clickpipe.query.options import QueryOptions
from clickpipe.sql import Composition, conditions_may_fail, is_read_apart, reads_apart

# What ClickHouse has against SQL before it reads a row, and what ends a query whatever it reads.
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
_TAIL = 400  # bytes in which a result's statistics stand
_GUESSED = ("max_memory_usage", "max_rows_to_read")  # a caller's own limits, by which rows could be counted


def filter_settings(engine: Engine, live: Live, filters: Mapping[str, str]) -> Settings:
    """Return settings by which ClickHouse gives the rows only that a caller may read.

    It applies them where a table is read, before any condition of the query but PREWHERE, so that no error of a
    condition tells of other rows: conditions are not moved there. Raises ClickpipeError 400.
    """
    found: dict[str, str] = {}
    for name, condition in filters.items():
        table = live.table(live.compiled.project.canonical(name))
        if table is not None:
            found[table.replace("`", "")] = compose_condition(engine, live, condition)
    return {"additional_table_filters": found, "optimize_move_to_prewhere": 0} if found else {}


def without_guesses(settings: Settings) -> Settings:
    """Return a caller's settings without limits that would tell how much is read."""
    return {name: value for name, value in settings.items() if name not in _GUESSED}


def _require_filters_hold(live: Live, filters: Iterable[str], composed: Composition) -> None:
    """Raise ClickpipeError 403 for a query that reads rows which no filter holds for: of a Join, a quarantine."""
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
    """Return one of the tables that is read, '' for none."""
    for new in composed.tables.values():
        found = _read_of(new, tables) if isinstance(new, Composition) else tables.get(new, "")
        if found:
            return found
    return ""


def _joined(composed: Composition, joins: Mapping[tuple[str, ...], str]) -> str:
    """Return a table that is read otherwise than by itself, '' for none."""
    by_itself = is_read_apart(composed.syntax.text)
    for new in composed.tables.values():
        if isinstance(new, Composition):
            if found := _joined(new, joins):
                return found
        elif new in joins and not by_itself:
            return joins[new]
    return ""


def read_within(live: Live, composed: Composition, filters: Iterable[str], *, own: bool = False) -> frozenset[str]:
    """Return the data sources with a filter that are to be read by themselves within pipes; none where that is as good.

    ClickHouse evaluates a pipe's conditions on keys, indexes and in PREWHERE before a filter. Where one may fail, and
    the caller gives its parameters, an error or none would tell of rows that the filter leaves out. Conditions that
    cannot fail go on using indexes. `own`: the statement around the pipes is the caller's, and judged elsewhere.
    Raises ClickpipeError 403 for PREWHERE, which only tables have.
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
    """Yield a composition and all within it, but those that just read a table by itself."""
    if not is_read_apart(composed.syntax.text):
        yield composed
    for new in composed.tables.values():
        if isinstance(new, Composition):
            yield from _every(new)


def _types(live: Live, names: Iterable[str]) -> dict[str, set[str]]:
    """Return the types of the columns of data sources, by name."""
    found: dict[str, set[str]] = {}
    for name in names:
        source = live.compiled.data_sources.get(name)
        for column in source.columns if source else ():
            found.setdefault(column.name, set()).add(column.type)
    return found


def require_hidden(live: Live, composed: Composition, options: QueryOptions) -> None:
    """Raise ClickpipeError 403 where a caller who may read some rows only would learn of others."""
    if options.is_limited:
        _require_uncounted(options.output)
        _require_filters_hold(live, options.filters, composed)


def _require_uncounted(output: OutputFormat) -> None:
    """Raise ClickpipeError 403 for a format that tells how much was read while it is."""
    if output.clickhouse.endswith("WithProgress"):
        message = f"The format {output.clickhouse} is not for a token that may read some rows only: it counts them all."
        raise ClickpipeError(message, status=403, code="forbidden")


def hide_rows(error: EngineError) -> str:
    """Return what such a caller is told of an error."""
    return error.message if error.name in _TOLD else _HIDDEN


def own_rows(running: Running, text: str) -> Running:
    """Return a query whose result counts its own rows, not those that were read for it; `text` is its SQL.

    What is counted before a LIMIT is the result's rows too where tables are read by themselves: those LIMITs count, and
    how far they come may hang on rows that are not shown.
    """
    limits = reads_apart(text)
    told: Future[QueryResult] = Future()

    def tell(done: Future[QueryResult]) -> None:
        if done.cancelled():
            told.cancel()
        elif (error := done.exception()) is not None:
            told.set_exception(error)
        else:
            told.set_result(_uncounted(done.result(), limits=limits))

    running.future.add_done_callback(tell)
    return Running(told, running.cancel)


def _uncounted(result: QueryResult, *, limits: bool) -> QueryResult:
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
    size -= len(tail) - start  # without the statistics, whose length hangs on the time that they tell
    counted = _COUNTED.sub(lambda m: m[1] + str(rows if m[2] == b"rows" else size).encode(), tail[start:])
    before = _LIMITED.sub(lambda m: m[1] + str(rows).encode() + m[2], tail[:start]) if limits else tail[:start]
    return before + counted


class _UncountedParts:
    """The rest of a result, whose end counts its own rows and bytes."""

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
