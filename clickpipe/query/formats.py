"""Output formats: file extensions of endpoints, FORMAT clauses of the query API, content types."""

from __future__ import annotations

import re
from dataclasses import dataclass

from clickpipe.diagnostics import ClickpipeError, did_you_mean


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """A ClickHouse format and its content type."""

    clickhouse: str
    content_type: str


_JSON = "application/json"
_NDJSON = "application/x-ndjson"
_CSV = "text/csv; charset=utf-8"
_TSV = "text/tab-separated-values; charset=utf-8"
_TEXT = "text/plain; charset=utf-8"
_BYTES = "application/octet-stream"
_PRETTY = tuple(f"{escapes}{block}" for escapes in ("", "NoEscapes") for block in ("", "MonoBlock"))
_PROMETHEUS = OutputFormat("Prometheus", "text/plain; version=0.0.4; charset=utf-8")

# By the extension in /v0/pipes/<name>.<extension>.
FORMATS: dict[str, OutputFormat] = {
    "json": OutputFormat("JSON", _JSON),
    "ndjson": OutputFormat("JSONEachRow", _NDJSON),
    "csv": OutputFormat("CSVWithNames", _CSV),
    "csvwithnames": OutputFormat("CSVWithNames", _CSV),
    "parquet": OutputFormat("Parquet", "application/vnd.apache.parquet"),
    "prometheus": _PROMETHEUS,
}

# Output settings that a caller may set to 0 or 1.
OUTPUT_SETTINGS = ("output_format_json_quote_64bit_integers", "output_format_json_quote_denormals")

_EACH_ROW = ("", "Compact", "Strings", "CompactStrings")
_HEADS = ("", "WithNames", "WithNamesAndTypes")

# All of ClickHouse's output formats that need no schema or file on the server.
_CONTENT_TYPES: dict[str, tuple[str, ...]] = {
    "application/geo+json": ("GeoJSON",),
    _JSON: (
        *("JSON", "JSONCompact", "JSONStrings", "JSONCompactStrings", "JSONColumns", "JSONCompactColumns"),
        *("JSONColumnsWithMetadata", "JSONObjectEachRow"),
    ),
    _NDJSON: (
        *(f"JSON{form}EachRow{progress}" for form in _EACH_ROW for progress in ("", "WithProgress")),
        *(f"JSONCompact{form}EachRow{head}" for form in ("", "Strings") for head in _HEADS[1:]),
        *("JSONLines", "JSONL", "NDJSON", "PrettyJSONEachRow", "PrettyJSONLines", "PrettyNDJSON"),
    ),
    _CSV: tuple(f"CSV{head}" for head in _HEADS),
    _TSV: tuple(
        f"{name}{head}" for name in ("TSV", "TSVRaw", "TabSeparated", "TabSeparatedRaw", "Raw") for head in _HEADS
    ),
    "text/markdown; charset=utf-8": ("Markdown", "MD"),
    _TEXT: (
        *(f"Pretty{kind}{end}" for kind in ("", "Compact", "Space") for end in _PRETTY),
        *(f"{name}{head}" for name in ("CustomSeparated", "LineAsString") for head in _HEADS),
        *("Vertical", "Values", "TSKV", "SQLInsert", "Hash", "HiveText", "Null"),
    ),
    _BYTES: (
        *("Native", "RowBinary", "RowBinaryWithNames", "RowBinaryWithNamesAndTypes", "ODBCDriver2", "RawBLOB", "Npy"),
        *("BSONEachRow", "Buffers"),
    ),
    "application/vnd.apache.arrow.stream": ("ArrowStream",),
    "application/vnd.apache.arrow.file": ("Arrow",),
    "application/vnd.apache.orc": ("ORC",),
    "application/vnd.apache.avro": ("Avro",),
    "application/vnd.msgpack": ("MsgPack",),
    "application/xml; charset=utf-8": ("XML",),
    "image/png": ("PNG",),
}

_BY_CLAUSE: dict[str, OutputFormat] = {
    name.lower(): OutputFormat(name, content_type) for content_type, names in _CONTENT_TYPES.items() for name in names
} | {"parquet": FORMATS["parquet"], "prometheus": _PROMETHEUS}

LONGEST = 262_144  # bytes of a query: ClickHouse's default limit (max_query_size)
_CLAUSE = re.compile(r"\bFORMAT\s++([A-Za-z]\w*+)$", re.IGNORECASE)


def format_names() -> tuple[str, ...]:
    """Return the names of all supported formats."""
    return tuple(sorted({output.clickhouse for output in _BY_CLAUSE.values()}))


def format_named(name: str) -> OutputFormat:
    """Return an output format by ClickHouse's name. Raises ClickpipeError 400 if it is not supported."""
    found = _BY_CLAUSE.get(name.lower())
    if found is None:
        listed = format_names()
        close = did_you_mean(name, listed)
        hint = f": {close}" if close else f". There are {', '.join(listed)}"
        message = f"The format '{name[:100]}' is not offered here{hint}"
        raise ClickpipeError(message, code="unknown_format")
    return found


def require_length(sql: str) -> None:
    """Raise ClickpipeError 413 if SQL is longer than ClickHouse accepts. Call this before anything parses it."""
    if len(sql) > LONGEST or len(sql.encode()) > LONGEST:
        message = f"The query is longer than {LONGEST} bytes."
        raise ClickpipeError(message, status=413, code="query_too_long")


def split_format_clause(sql: str, otherwise: OutputFormat = FORMATS["json"]) -> tuple[str, OutputFormat]:
    """Return the SQL without its FORMAT clause (and final `;`), and that format, or `otherwise`.

    An unknown format stays in the SQL; the SQL check then refuses it by name. Raises ClickpipeError 413 if the SQL is
    too long.
    """
    require_length(sql)
    text = sql.rstrip("; \t\r\n\f\v")
    match = _CLAUSE.search(text)
    found = _BY_CLAUSE.get(match.group(1).lower()) if match else None
    if match is None or found is None:
        return text, otherwise
    return text[: match.start()].rstrip(), found
