"""Generates CREATE TABLE statements for data sources, and the fingerprints that name their physical tables."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MappingProxyType

from clickpipe.project import Column, DataSource, TableEngine
from clickpipe.sql import MeantColumn, MeantTable, quote_identifier

# The number of recent inserts among which a repeated one is recognised (exactly-once after a crash).
DEDUPLICATION_WINDOW = 10_000


def column_ddl(column: Column, type_: str | None = None) -> str:
    """Return a column's definition for CREATE TABLE, with its own type or another."""
    default = f" DEFAULT {column.default.text}" if column.default else ""
    codec = f" {column.codec}" if column.codec else ""
    return f"{quote_identifier(column.name)} {type_ or column.type}{default}{codec}"


def table_ddl(source: DataSource, table: str, types: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the CREATE TABLE of a data source; `table` is the quoted, qualified physical name.

    `types` replace the types of some columns.
    """
    lines = [column_ddl(c, types.get(c.name)) for c in source.columns]
    lines += [
        f"INDEX {quote_identifier(i.name)} {i.expression} TYPE {i.type} GRANULARITY {i.granularity}"
        for i in source.indexes
    ]
    columns = ",\n    ".join(lines)
    return f"CREATE TABLE {table}\n(\n    {columns}\n)\n{engine_ddl(source.engine)}"


def meant_table(source: DataSource) -> MeantTable:
    """Return what the statement of `table_ddl` should contain, to compare with its parsed form."""
    engine = source.engine
    merge_tree = engine.name.text.endswith("MergeTree")
    clauses = {"SORTING_KEY"} if merge_tree else set()
    options = ("PARTITION_KEY", "PRIMARY_KEY", "SAMPLING_KEY", "TTL") if merge_tree else ()
    clauses |= {option for option in options if engine.option(option)}
    clauses |= {"SETTINGS"} if _settings(engine) else set()
    texts = {f"ENGINE_{name}": word.text for name, word in engine.options.items()}
    for column in source.columns:
        texts[f"The type of '{column.name}'"] = column.type
        texts[f"The DEFAULT of '{column.name}'"] = column.default.text if column.default else ""
        texts[f"The CODEC of '{column.name}'"] = column.codec or ""
    for index in source.indexes:
        texts[f"The index '{index.name}'"] = f"{index.expression} {index.type}"
    return MeantTable(
        [MeantColumn(c.name, c.default is not None, bool(c.codec)) for c in source.columns],
        engine.name.text,
        frozenset(clauses),
        [(i.name, i.granularity) for i in source.indexes],
        texts,
    )


# The arguments of an engine, by ENGINE_* option; a list of columns has its own brackets.
_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "ReplacingMergeTree": ("VER", "IS_DELETED"),
    "SummingMergeTree": ("COLUMNS",),
    "CoalescingMergeTree": ("COLUMNS",),
    "CollapsingMergeTree": ("SIGN",),
    "VersionedCollapsingMergeTree": ("SIGN", "VERSION"),
    "Join": ("JOIN_STRICTNESS", "JOIN_TYPE", "KEY_COLUMNS"),
}


def engine_ddl(engine: TableEngine) -> str:
    """Return the ENGINE clause with keys, TTL and settings."""
    name = engine.name.text
    values = [(option, engine.option(option)) for option in _ARGUMENTS.get(name, ())]
    arguments = ", ".join(f"({v})" if option == "COLUMNS" else v for option, v in values if v)
    parts = [f"ENGINE = {name}({arguments})" if name.endswith("MergeTree") or arguments else f"ENGINE = {name}"]
    if name.endswith("MergeTree"):
        parts += _merge_tree_clauses(engine)
    settings = _settings(engine)
    return "\n".join([*parts, *([f"SETTINGS {', '.join(settings)}"] if settings else [])])


def _merge_tree_clauses(engine: TableEngine) -> list[str]:
    parts = []
    if partition := engine.option("PARTITION_KEY"):
        parts.append(f"PARTITION BY {_key(partition)}")
    parts.append(f"ORDER BY {_key(engine.option('SORTING_KEY'))}")
    if primary := engine.option("PRIMARY_KEY"):
        parts.append(f"PRIMARY KEY {_key(primary)}")
    if sampling := engine.option("SAMPLING_KEY"):
        parts.append(f"SAMPLE BY {sampling}")
    if ttl := engine.option("TTL"):
        parts.append(f"TTL {ttl}")
    return parts


def _settings(engine: TableEngine) -> list[str]:
    """Return the author's settings, and our defaults for settings that the author does not mention."""
    own = engine.option("SETTINGS")
    ours = {}
    if engine.name.text.endswith("MergeTree"):
        ours["non_replicated_deduplication_window"] = DEDUPLICATION_WINDOW
    if engine.name.text == "AggregatingMergeTree":
        ours["allow_dimensions_outside_sorting_key"] = 1
    return [f"{name} = {value}" for name, value in ours.items() if name not in own] + ([own] if own else [])


def _key(expression: str) -> str:
    """Return a key in brackets; `tuple()` if it is empty."""
    text = expression.strip()
    if not text or text == "tuple()":
        return "tuple()"
    return f"({text})"


def fingerprint(*parts: str) -> str:
    """Return a short stable hash of the parts: 12 hex digits."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
