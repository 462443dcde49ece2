"""Quarantines: why rows were kept out, and taking them in once they fit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from clickpipe.catalog import Live
from clickpipe.engine import Engine, EngineError, Settings
from clickpipe.ingest.apart import leans, settings_apart
from clickpipe.ingest.insert import AT_ONCE
from clickpipe.ingest.judge import is_passing
from clickpipe.ingest.kept import Kept
from clickpipe.ingest.mapping import build_replay
from clickpipe.ingest.narrow import narrow
from clickpipe.ingest.probe import Probe
from clickpipe.ingest.uncertain import has_only_own_views, is_uncertain
from clickpipe.ingest.writes import ONE_BLOCK, execute_patiently
from clickpipe.project import DataSource
from clickpipe.sql import quote_identifier


@dataclass(frozen=True, slots=True)
class Reason:
    """A kind of fault: the column ('' for a line that is no JSON object), how many rows have it, one of them."""

    column: str
    reason: str
    rows: int
    last: str
    value: str
    row: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


# What differs from row to row is taken out of the text: the value, the line.
_REASONS = """
SELECT column, reason, count(), toString(max(moment)), leftUTF8(any(text), 1000), any(kept) FROM (
    SELECT fault.1 AS column, fault.2 AS text, moment, kept, multiIf(
        startsWith(text, 'value \\''), concat('value', extract(text, '^value \\'(?s:.*)\\'( on column \\'.*)$')),
        startsWith(text, 'the line is not a JSON object'), 'the line is not a JSON object', text) AS reason
    FROM (
        SELECT arrayJoin(arrayZip(c__error_column, c__error)) AS fault, {moment} AS moment, ({row}) AS kept
        FROM {table}
    )
) GROUP BY column, reason ORDER BY count() DESC, column, reason LIMIT {limit}
"""


def reasons(engine: Engine, live: Live, name: str, limit: int = 100) -> list[Reason]:
    """Return the reasons for which rows of a data source are in quarantine, the most frequent first."""
    source = live.compiled.data_sources[name]
    names = [c.name for c in source.columns]
    sql = _REASONS.format(
        table=live.physical.tables[f"{name}_quarantine"],
        moment=source.quarantine_time,
        row="[" + ", ".join(map(quote_identifier, names)) + "]",
        limit=int(limit),
    )
    rows = json.loads(engine.execute(sql, output="JSONCompact").body)["data"]
    return [
        Reason(column, reason, int(count), last, text, dict(zip(names, kept, strict=True)))
        for column, reason, count, last, text, kept in rows
    ]


def replay(
    engine: Engine,
    live: Live,
    source: DataSource,
    owner: str,
    relieve: Callable[[EngineError], bool] = lambda _: False,
) -> dict[str, int]:
    """Move the rows of a quarantine that fit now into the data source; return how many, and how many are left.

    Rows that a view or the table refuses stay, as do lines that were no JSON: their columns were never known. Nothing
    may write to the quarantine meanwhile. A replay that was cut off is made again without doubles: its token is made of
    what the quarantine holds. `relieve` is asked whether it has removed what made the insert fail. Raises EngineError.
    """
    table, quarantine = live.physical.tables[source.name], live.physical.tables[f"{source.name}_quarantine"]
    beside = f"{quarantine[:-1]}_replay`"
    apart = settings_apart(leans(source))
    fitting = build_replay(source, table, quarantine, beside).count
    ((good, rows, mark),) = json.loads(engine.execute(fitting, output="JSONCompact", settings=apart).body)["data"]
    good, rows = int(good), int(rows)
    if not good:
        return {"rows": 0, "left": rows}
    with _numbered(engine, quarantine) as numbered, _kept(engine, live, source, owner) as kept:
        if kept is not None:
            refused = _keep(kept, source, table, numbered, rows, apart)
        else:
            refused = _refused(engine, live, source, owner, numbered, rows, apart)
        without = f"NOT IN ({', '.join(map(str, refused))})" if refused else ">= 0"
        statements = build_replay(
            source, table, f"(SELECT * EXCEPT __row FROM {numbered} WHERE __row {without})", beside
        )
        token = f"{owner}/{source.name}/replay/{rows}/{mark}"
        settings: Settings = {**ONE_BLOCK, **apart, "insert_deduplicate": 1, "insert_deduplication_token": token}
        if kept is not None:
            kept.write(token)
        elif len(refused) < good:
            try:
                execute_patiently(engine, statements.good, settings)
            except EngineError as error:
                if not relieve(error):
                    raise
                execute_patiently(engine, statements.good, settings)
        engine.execute(f"DROP TABLE IF EXISTS {beside}")
        engine.execute(f"CREATE TABLE {beside} AS {quarantine}")
        engine.execute(statements.keep, output="Null", settings={**ONE_BLOCK, **apart})
        if refused:
            listed = ", ".join(map(str, refused))
            again = f"INSERT INTO {beside} SELECT * EXCEPT __row FROM {numbered} WHERE __row IN ({listed})"
            engine.execute(again, output="Null")
        engine.execute(f"EXCHANGE TABLES {quarantine} AND {beside}")
        engine.execute(f"DROP TABLE {beside}")
    return {"rows": good - len(refused), "left": rows - good + len(refused)}


@contextmanager
def _numbered(engine: Engine, quarantine: str) -> Iterator[str]:
    """Give a copy of a quarantine whose rows have numbers."""
    table = f"{quarantine[:-1]}_replay_numbered`"
    engine.execute(f"DROP TABLE IF EXISTS {table}")
    sql = f"SELECT *, rowNumberInAllBlocks() AS __row FROM {quarantine}"
    engine.execute(f"CREATE TABLE {table} ENGINE = MergeTree ORDER BY __row AS {sql}", settings={"max_threads": 1})
    try:
        yield table
    finally:
        engine.execute(f"DROP TABLE IF EXISTS {table}")


@contextmanager
def _kept(engine: Engine, live: Live, source: DataSource, owner: str) -> Iterator[Kept | None]:
    """Give a copy that keeps rows, where views may judge them in two ways and no others are to get them."""
    once = is_uncertain(engine, live, source.name) and has_only_own_views(engine, live, source.name)
    kept = Kept(engine, live, source.name, f"replay_{owner}") if once else None
    try:
        yield kept
    finally:
        if kept is not None:
            kept.drop()


def _keep(kept: Kept, source: DataSource, table: str, numbered: str, rows: int, apart: Settings) -> list[int]:
    """Keep the rows that fit; return the numbers of those that are refused. Raises EngineError."""

    def some(first: int, end: int) -> str:
        piece = f"(SELECT * EXCEPT __row FROM {numbered} WHERE __row >= {first} AND __row < {end})"
        return build_replay(source, table, piece, table).good

    if kept.take(some(0, rows), apart) is None:
        return []
    return [one.row for one in kept.gather(some, rows, again=False, settings=apart)]


def _refused(
    engine: Engine, live: Live, source: DataSource, owner: str, numbered: str, rows: int, apart: Settings
) -> list[int]:
    """Return the numbers of the rows that fit, and that a view or the table refuses. Raises EngineError."""
    probe = Probe(engine, live, source.name, f"replay_{owner}")
    settings: Settings = {**ONE_BLOCK, **apart}

    def look(first: int, end: int) -> tuple[str, str] | None:
        some = f"(SELECT * EXCEPT __row FROM {numbered} WHERE __row >= {first} AND __row < {end})"
        try:
            execute_patiently(engine, build_replay(source, probe.table, some, probe.table).good, settings)
        except EngineError as error:
            if is_passing(error):
                raise
            return probe.refused_by(error)
        return None

    try:
        if look(0, rows) is None:
            return []
        return [one.row for one in narrow(look, rows, AT_ONCE)[0]]
    finally:
        probe.drop()
