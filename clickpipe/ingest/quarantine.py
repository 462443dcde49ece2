"""Quarantines: why rows were kept out, and taking them in once they fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from clickpipe.catalog import Live
from clickpipe.engine import Engine, EngineError, Settings
from clickpipe.ingest.insert import ONE_BLOCK
from clickpipe.ingest.mapping import AS_WRITTEN, ROW_BY_ROW, build_replay, leans
from clickpipe.project import DataSource


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
        row="[" + ", ".join(f"`{n}`" for n in names) + "]",
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

    Nothing may write to the quarantine meanwhile. A replay that was cut off is made again without doubles: its token
    is made of what the quarantine holds. Lines that were no JSON stay: their columns were never known. `relieve` is
    asked whether it has removed what made the insert fail. Raises EngineError.
    """
    table, quarantine = live.physical.tables[source.name], live.physical.tables[f"{source.name}_quarantine"]
    beside = f"{quarantine[:-1]}_replay`"
    statements = build_replay(source, table, quarantine, beside)
    apart: Settings = {**AS_WRITTEN, **(ROW_BY_ROW if leans(source) else {})}
    good, rows, mark = json.loads(engine.execute(statements.count, output="JSONCompact", settings=apart).body)["data"][
        0
    ]
    good, rows = int(good), int(rows)
    if good:
        token = f"{owner}/{source.name}/replay/{rows}/{mark}"
        settings: Settings = {**ONE_BLOCK, **apart, "insert_deduplicate": 1, "insert_deduplication_token": token}
        try:
            engine.execute(statements.good, output="Null", settings=settings)
        except EngineError as error:
            if not relieve(error):
                raise
            engine.execute(statements.good, output="Null", settings=settings)
        engine.execute(f"DROP TABLE IF EXISTS {beside}")
        engine.execute(f"CREATE TABLE {beside} AS {quarantine}")
        engine.execute(statements.keep, output="Null", settings={**ONE_BLOCK, **apart})
        engine.execute(f"EXCHANGE TABLES {quarantine} AND {beside}")
        engine.execute(f"DROP TABLE {beside}")
    return {"rows": good, "left": rows - good}
