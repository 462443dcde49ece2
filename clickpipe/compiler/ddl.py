"""Data sources to CREATE TABLE statements, and to the fingerprint that names their physical tables."""

from __future__ import annotations

import hashlib

from clickpipe.project import Column, DataSource
from clickpipe.sql import quote_identifier

# How many inserts back a repeated one is still recognised (exactly-once after a crash).
DEDUPLICATION_WINDOW = 10_000


def column_ddl(column: Column) -> str:
    """Return a column as it stands in CREATE TABLE."""
    default = f" DEFAULT {column.default.text}" if column.default else ""
    codec = f" {column.codec}" if column.codec else ""
    return f"{quote_identifier(column.name)} {column.type}{default}{codec}"


def table_ddl(source: DataSource, table: str) -> str:
    """Return the CREATE TABLE of a data source; `table` is the quoted, qualified physical name."""
    columns = ",\n    ".join(column_ddl(c) for c in source.columns)
    return f"CREATE TABLE {table}\n(\n    {columns}\n)\n{engine_ddl(source)}"


def engine_ddl(source: DataSource) -> str:
    """Return the ENGINE clause with keys, TTL and settings."""
    engine = source.engine
    name = engine.name.text
    arguments = {
        "ReplacingMergeTree": [engine.option("VER"), engine.option("IS_DELETED")],
        "SummingMergeTree": [f"({engine.option('COLUMNS')})" if engine.option("COLUMNS") else ""],
        "CollapsingMergeTree": [engine.option("SIGN")],
        "VersionedCollapsingMergeTree": [engine.option("SIGN"), engine.option("VERSION")],
    }.get(name, [])
    parts = [f"ENGINE = {name}({', '.join(a for a in arguments if a)})"]
    if partition := engine.option("PARTITION_KEY"):
        parts.append(f"PARTITION BY {_key(partition)}")
    parts.append(f"ORDER BY {_key(engine.option('SORTING_KEY'))}")
    if primary := engine.option("PRIMARY_KEY"):
        parts.append(f"PRIMARY KEY {_key(primary)}")
    if sampling := engine.option("SAMPLING_KEY"):
        parts.append(f"SAMPLE BY {sampling}")
    if ttl := engine.option("TTL"):
        parts.append(f"TTL {ttl}")
    settings = [f"non_replicated_deduplication_window = {DEDUPLICATION_WINDOW}"]
    if name == "AggregatingMergeTree":
        settings.append("allow_dimensions_outside_sorting_key = 1")
    if own := engine.option("SETTINGS"):
        settings.append(own)
    parts.append(f"SETTINGS {', '.join(settings)}")
    return "\n".join(parts)


def _key(expression: str) -> str:
    """Return a key in brackets; nothing at all is `tuple()`."""
    text = expression.strip()
    if not text or text == "tuple()":
        return "tuple()"
    return f"({text})"


def fingerprint(*parts: str) -> str:
    """Return a short stable name for what the parts describe: 12 hex digits."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
