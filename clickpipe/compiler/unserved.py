"""Warns of lines that are checked but have no effect in this build, such as connectors and sinks."""

from __future__ import annotations

from collections.abc import Iterator

from clickpipe.config import DEFAULT_RULES, ProjectRules
from clickpipe.diagnostics import Diagnostic, Severity, Word
from clickpipe.project import DataSource, PipeKind, Project, is_kafka, kafka_obstacle

_HINT = "send them to /v0/events, or append files"


def unserved_lines(project: Project, rules: ProjectRules = DEFAULT_RULES) -> Iterator[Diagnostic]:
    """Yield a warning for each line of a connector or sink that has no effect, and for each topic that is not read."""
    for source in project.data_sources.values():
        if is_kafka(source.connector):
            if (found := _unread(project, source, rules)) is not None:
                word, reason = found
                message = f"'{source.name}' does not read its topic: {reason}"
                yield Diagnostic("CP1014", message, word.span, Severity.WARNING, _HINT)
            continue
        for directive, word in source.connector.items():
            message = f"{directive} has no effect: this build does not fetch rows for '{source.name}'"
            yield Diagnostic("CP1014", message, word.span, Severity.WARNING, _HINT)
    for pipe in project.pipes.values():
        if pipe.kind is PipeKind.SINK:
            for directive, word in pipe.export.items():
                message = f"{directive} has no effect: this build does not export the rows of '{pipe.name}'"
                hint = "make it an endpoint, and fetch its rows"
                yield Diagnostic("CP1014", message, word.span, Severity.WARNING, hint)


def unserved_resources(project: Project, rules: ProjectRules) -> tuple[list[str], list[str]]:
    """Return the names of data sources that are not fetched, and of sinks that do not run."""
    sources = [
        source.name
        for source in project.data_sources.values()
        if source.connector and (not is_kafka(source.connector) or _unread(project, source, rules) is not None)
    ]
    sinks = [pipe.name for pipe in project.pipes.values() if pipe.kind is PipeKind.SINK]
    return sources, sinks


def _unread(project: Project, source: DataSource, rules: ProjectRules) -> tuple[Word, str] | None:
    """Return the line that keeps a Kafka data source from reading its topic, and why; None if it reads."""
    if (found := kafka_obstacle(source, project.connections)) is not None:
        return found
    if not source.ingestible:
        return next(iter(source.connector.values())), "it stores aggregate states, which only materialized views fill"
    if rules.no_kafka:
        return source.connector.get("KAFKA_TOPIC") or next(iter(source.connector.values())), rules.no_kafka
    return None
