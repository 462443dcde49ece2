"""The reasons why rows are in quarantine."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from clickpipe.catalog import Live
from clickpipe.engine import Engine
from clickpipe.sql import quote_identifier


@dataclass(frozen=True, slots=True)
class Reason:
    """A kind of error: the column ('' if the line is not a JSON object), the number of rows, one example."""

    column: str
    reason: str
    rows: int
    last: str
    value: str
    row: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)


# Parts that differ from row to row (the value, the line) are removed from the text.
_REASONS = """
SELECT column, reason, count(), toString(max(moment)), leftUTF8(any(text), 1000), any(kept) FROM (
    SELECT fault.1 AS column, fault.2 AS text, moment, kept, multiIf(
        startsWith(text, 'value \\''), concat('value', extract(text, '^value \\'(?s:.*)\\'( on column \\'.*)$')),
        startsWith(text, 'the line is not a JSON object'), 'the line is not a JSON object',
        startsWith(text, 'a row '), extract(text, '^(?s:(.*?))(?:: .*)?$'), text) AS reason
    FROM (
        SELECT arrayJoin(arrayZip(c__error_column, c__error)) AS fault, {moment} AS moment, ({row}) AS kept
        FROM {table}
    )
) GROUP BY column, reason ORDER BY count() DESC, column, reason LIMIT {limit}
"""


def reasons(engine: Engine, live: Live, name: str, limit: int = 100) -> list[Reason]:
    """Return the reasons why rows of a data source are in quarantine, most frequent first."""
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
