"""A sink that sends its rows to a Kafka topic: what keeps it from running."""

from __future__ import annotations

import re
from collections.abc import Mapping

from clickpipe.diagnostics import Word
from clickpipe.project.kafka_topic import brokers_obstacle
from clickpipe.project.model import Connection, Pipe

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


def is_topic_sink(export: Mapping[str, Word]) -> bool:
    """Return whether a sink with these options sends its rows to a topic."""
    return "EXPORT_KAFKA_TOPIC" in export


def topic_obstacle(pipe: Pipe, connections: Mapping[str, Connection]) -> tuple[Word, str] | None:
    """Return the line that keeps such a sink from running, and why; None if nothing does."""
    topic, named = pipe.export["EXPORT_KAFKA_TOPIC"], pipe.export.get("EXPORT_CONNECTION_NAME")
    if named is None:
        return topic, "there is no EXPORT_CONNECTION_NAME"
    found = connections.get(named.text)
    if found is None or found.type != "kafka":
        return named, f"'{named.text}' is not a connection to Kafka"
    if (problem := brokers_obstacle(found.options)) is not None:
        return named, problem[1]
    if "{{" not in topic.text and not _TOPIC.fullmatch(topic.text):
        return topic, "a topic's name has up to 249 letters, digits, dots, _ and -"
    return None
