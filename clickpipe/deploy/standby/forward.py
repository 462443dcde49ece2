"""Forwards rows that arrive in one deployment's tables to those of its standby.

Each data source whose table differs between the two gets a materialized view from one table to the other. Towards the
newer deployment it uses that one's FORWARD_QUERY, if any, else it maps column by column. ClickHouse writes through the
view as part of the insert, with the insert's deduplication token, so each row is forwarded exactly once. A row with a
value that does not fit the other table's type is left out there and does not fail the insert.
"""

from __future__ import annotations

import re

from clickpipe.catalog import Live
from clickpipe.compiler import fingerprint
from clickpipe.deploy.planning.physical import PhysicalObject
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, EngineError
from clickpipe.project import DataSource
from clickpipe.sql import quote_identifier, quote_literal

_LOW_CARDINALITY = re.compile(r"^LowCardinality\((.*)\)$", re.DOTALL)
_NESTED = re.compile(r"LowCardinality\(((?:Nullable\()?\w+(?:\([^()]*\))?\)?)\)")
_NULLABLE = re.compile(r"^Nullable\((.*)\)$", re.DOTALL)


def forwards(engine: Engine, database: str, source: Live, target: Live) -> list[PhysicalObject]:
    """Return the views that forward rows from `source` to `target`.

    Targets of `target`'s own views get none: those views run on the forwarded rows. Raises ClickpipeError if rows
    cannot be forwarded.
    """
    fed = {view.target for view in target.compiled.views.values()}
    found = []
    for name, after in target.compiled.data_sources.items():
        before = source.compiled.data_sources.get(name)
        if before is None:
            continue
        old, new = source.physical.tables[name], target.physical.tables[name]
        if old != new and name not in fed:
            select = _select(before, after, old, newer=target.deployment_id > source.deployment_id)
            found.append(_view(engine, database, name, old, new, select))
        old, new = (live.physical.tables[f"{name}_quarantine"] for live in (source, target))
        if old != new:
            select = _quarantine_select(before, after, old)
            found.append(_view(engine, database, f"{name}_quarantine", old, new, select))
    return found


def _view(engine: Engine, database: str, name: str, old: str, new: str, select: str) -> PhysicalObject:
    try:
        engine.describe(select)
    except EngineError as error:
        message = (
            f"The rows of '{name}' cannot be passed on while both deployments are there ({error.message}): "
            "deploy with auto_promote."
        )
        raise ClickpipeError(message, code="not_forwardable") from None
    physical = f"forward_{fingerprint(old, new)}"
    qualified = f"{quote_identifier(database)}.{quote_identifier(physical)}"
    return PhysicalObject(physical, f"CREATE MATERIALIZED VIEW IF NOT EXISTS {qualified} TO {new} AS\n{select}", True)


def _select(before: DataSource, after: DataSource, old: str, *, newer: bool) -> str:
    if newer and after.forward_query is not None:
        return f"{after.forward_query.text}\nFROM {old}"
    values, fit = [], []
    for column, kept in ((c, before.column(c.name)) for c in after.columns):
        if kept is None:
            continue
        name = quote_identifier(column.name)
        if kept.type == column.type:
            values.append(name)
            continue
        value, condition = _cast(name, kept.type, column.type)
        values.append(f"{value} AS {name}")
        fit += condition
    where = f" WHERE {' AND '.join(fit)}" if fit else ""
    return f"SELECT {', '.join(values) or '1 AS _'} FROM {old} AS t{where}"


def _cast(name: str, old: str, type_: str) -> tuple[str, list[str]]:
    """Return SQL that casts a column to another type, and the conditions for rows where that works."""
    if _NESTED.sub(r"\1", old) == _NESTED.sub(r"\1", type_):
        return f"CAST(t.{name}, {quote_literal(type_)})", []
    plain = _LOW_CARDINALITY.sub(r"\1", type_)
    inner = _NULLABLE.match(plain)
    cast = f"accurateCastOrNull(t.{name}, {quote_literal(inner[1] if inner else plain)})"
    if inner:
        return cast, [f"(isNull(t.{name}) OR isNotNull({cast}))"]
    return f"assumeNotNull({cast})", [f"isNotNull({cast})"]


def _quarantine_select(before: DataSource, after: DataSource, old: str) -> str:
    kept = [quote_identifier(c.name) for c in after.columns if before.column(c.name) is not None]
    times = f"{before.quarantine_time} AS {after.quarantine_time}"
    return f"SELECT {', '.join([*kept, 'c__error_column', 'c__error', 'c__import_id', times])} FROM {old}"
