"""The columns for a message's metadata, which a Kafka data source has in addition to its schema."""

from __future__ import annotations

from collections.abc import Mapping

from clickpipe.diagnostics import Word
from clickpipe.project.model import Column, DataSource

# Name, type, default.
KAFKA_COLUMNS = (
    ("__value", "String", "''"),
    ("__topic", "LowCardinality(String)", "''"),
    ("__partition", "Int16", "0"),
    ("__offset", "Int64", "0"),
    ("__timestamp", "DateTime", "toDateTime(0)"),
    ("__key", "String", "''"),
)
KAFKA_HEADERS = ("__headers", "Map(String, String)", "map()")
_NAMES = frozenset(name for name, _, _ in (*KAFKA_COLUMNS, KAFKA_HEADERS))


def is_kafka(connector: Mapping[str, Word]) -> bool:
    """Return whether a data source with these options reads a Kafka topic."""
    return any(option.startswith("KAFKA_") for option in connector)


def is_of_message(source: DataSource, column: Column) -> bool:
    """Return whether a column contains a message's metadata and so needs no jsonpath."""
    return column.name in _NAMES and column.jsonpath is None and is_kafka(source.connector)
