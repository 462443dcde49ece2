"""Output formats: the file endings of endpoints, the FORMAT clause of the query API, content types."""

from __future__ import annotations

import re
from dataclasses import dataclass

from clickpipe.diagnostics import ClickpipeError


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """A ClickHouse format and the content type of its bytes."""

    clickhouse: str
    content_type: str


_JSON = "application/json"
_NDJSON = "application/x-ndjson"
_CSV = "text/csv; charset=utf-8"
_TSV = "text/tab-separated-values; charset=utf-8"
_TEXT = "text/plain; charset=utf-8"
_BYTES = "application/octet-stream"
_PROMETHEUS = OutputFormat("Prometheus", "text/plain; version=0.0.4; charset=utf-8")

# By the ending in /v0/pipes/<name>.<ending>.
FORMATS: dict[str, OutputFormat] = {
    "json": OutputFormat("JSON", _JSON),
    "ndjson": OutputFormat("JSONEachRow", _NDJSON),
    "csv": OutputFormat("CSVWithNames", _CSV),
    "csvwithnames": OutputFormat("CSVWithNames", _CSV),
    "parquet": OutputFormat("Parquet", "application/vnd.apache.parquet"),
    "prometheus": _PROMETHEUS,
}

# What a caller may set of the output, with 0 or 1.
OUTPUT_SETTINGS = ("output_format_json_quote_64bit_integers", "output_format_json_quote_denormals")

_CONTENT_TYPES: dict[str, tuple[str, ...]] = {
    _JSON: ("JSON", "JSONCompact", "JSONStrings", "JSONCompactStrings", "JSONColumns"),
    _NDJSON: (
        "JSONEachRow",
        "JSONStringsEachRow",
        "JSONCompactEachRow",
        "JSONCompactEachRowWithNames",
        "JSONCompactEachRowWithNamesAndTypes",
        "JSONCompactStringsEachRow",
        "JSONStringsEachRowWithProgress",
        "JSONEachRowWithProgress",
    ),
    _CSV: ("CSV", "CSVWithNames", "CSVWithNamesAndTypes"),
    _TSV: (
        "TSV",
        "TSVRaw",
        "TSVWithNames",
        "TSVWithNamesAndTypes",
        "TabSeparated",
        "TabSeparatedRaw",
        "TabSeparatedWithNames",
        "TabSeparatedWithNamesAndTypes",
    ),
    "text/markdown; charset=utf-8": ("Markdown",),
    _TEXT: ("PrettyCompact", "Pretty", "PrettyCompactMonoBlock", "PrettySpace", "Vertical"),
    _BYTES: ("Native", "RowBinary", "RowBinaryWithNames", "RowBinaryWithNamesAndTypes", "ODBCDriver2"),
    "application/vnd.apache.arrow.stream": ("ArrowStream",),
}

_BY_CLAUSE: dict[str, OutputFormat] = {
    name.lower(): OutputFormat(name, content_type) for content_type, names in _CONTENT_TYPES.items() for name in names
} | {"parquet": FORMATS["parquet"], "prometheus": _PROMETHEUS}

_CLAUSE = re.compile(r"\bFORMAT\s+([A-Za-z]\w*)\s*;?\s*$", re.IGNORECASE)


def format_named(name: str) -> OutputFormat:
    """Return an output format by ClickHouse's name. Raises ClickpipeError 400 for one that is not offered."""
    found = _BY_CLAUSE.get(name.lower())
    if found is None:
        message = f"The format '{name[:100]}' is not offered here."
        raise ClickpipeError(message, code="unknown_format")
    return found


def split_format_clause(sql: str, otherwise: OutputFormat = FORMATS["json"]) -> tuple[str, OutputFormat]:
    """Return the SQL without its FORMAT clause (and final `;`), and the format it says, or `otherwise`.

    An unknown format stays in the SQL, where ClickHouse's parser or the SQL check refuses it.
    """
    text = sql.rstrip().rstrip(";").rstrip()
    match = _CLAUSE.search(text)
    found = _BY_CLAUSE.get(match.group(1).lower()) if match else None
    if match is None or found is None:
        return text, otherwise
    return text[: match.start()].rstrip(), found
