"""Output formats: the file endings of endpoints, the FORMAT clause of the query API, content types."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """A ClickHouse format and the content type of its bytes."""

    clickhouse: str
    content_type: str


_JSON = "application/json"
_CSV = "text/csv; charset=utf-8"

# By the ending in /v0/pipes/<name>.<ending>.
FORMATS: dict[str, OutputFormat] = {
    "json": OutputFormat("JSON", _JSON),
    "ndjson": OutputFormat("JSONEachRow", "application/x-ndjson"),
    "csv": OutputFormat("CSVWithNames", _CSV),
}

_BY_CLAUSE: dict[str, OutputFormat] = {
    f.clickhouse.lower(): f
    for f in (
        OutputFormat("JSON", _JSON),
        OutputFormat("JSONCompact", _JSON),
        OutputFormat("JSONStrings", _JSON),
        OutputFormat("JSONEachRow", "application/x-ndjson"),
        OutputFormat("CSV", _CSV),
        OutputFormat("CSVWithNames", _CSV),
        OutputFormat("TSV", "text/tab-separated-values; charset=utf-8"),
        OutputFormat("TSVWithNames", "text/tab-separated-values; charset=utf-8"),
        OutputFormat("TabSeparated", "text/tab-separated-values; charset=utf-8"),
        OutputFormat("Markdown", "text/markdown; charset=utf-8"),
        OutputFormat("PrettyCompact", "text/plain; charset=utf-8"),
    )
}

_CLAUSE = re.compile(r"\bFORMAT\s+([A-Za-z]\w*)\s*;?\s*$", re.IGNORECASE)


def split_format_clause(sql: str) -> tuple[str, OutputFormat]:
    """Return the SQL without its FORMAT clause (and final `;`), and the format: JSON unless it says another.

    An unknown format stays in the SQL, where ClickHouse's parser or the SQL check refuses it.
    """
    text = sql.rstrip().rstrip(";").rstrip()
    match = _CLAUSE.search(text)
    found = _BY_CLAUSE.get(match.group(1).lower()) if match else None
    if match is None or found is None:
        return text, FORMATS["json"]
    return text[: match.start()].rstrip(), found
