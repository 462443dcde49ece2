"""Warns of data sources that read nothing and of sinks that do not run, at the line that keeps them from it."""

from __future__ import annotations

from collections.abc import Iterator

from clickpipe.config import DEFAULT_RULES, ProjectRules
from clickpipe.diagnostics import Diagnostic, Severity, Word
from clickpipe.project import (
    DataSource,
    Pipe,
    PipeKind,
    Project,
    bucket_obstacle,
    is_bucket,
    is_kafka,
    is_topic_sink,
    kafka_obstacle,
    sink_obstacle,
)

_AGGREGATES = "it stores aggregate states, which only materialized views fill"
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
        if is_bucket(source.connector):
            if (found := _not_imported(project, source, rules)) is not None:
                word, reason = found
                message = f"'{source.name}' does not import its files: {reason}"
                yield Diagnostic("CP1014", message, word.span, Severity.WARNING, _HINT)
            continue
        for directive, word in source.connector.items():
            message = f"{directive} has no effect: this build does not fetch rows for '{source.name}'"
            yield Diagnostic("CP1014", message, word.span, Severity.WARNING, _HINT)
    yield from _unsent(project, rules)


def _unsent(project: Project, rules: ProjectRules) -> Iterator[Diagnostic]:
    for pipe in project.pipes.values():
        if pipe.kind is PipeKind.SINK and (found := _not_exported(project, pipe, rules)) is not None:
            word, reason = found
            message, hint = (
                f"'{pipe.name}' does not export its rows: {reason}",
                "change that: until then it does not run",
            )
            yield Diagnostic("CP1014", message, word.span, Severity.WARNING, hint)


def unserved_resources(project: Project, rules: ProjectRules) -> tuple[list[str], list[str]]:
    """Return the names of data sources that are not fetched, and of sinks that do not run."""
    sources = [
        source.name
        for source in project.data_sources.values()
        if source.connector and not _is_served(project, source, rules)
    ]
    sinks = [
        pipe.name
        for pipe in project.pipes.values()
        if pipe.kind is PipeKind.SINK and _not_exported(project, pipe, rules) is not None
    ]
    return sources, sinks


def _not_exported(project: Project, pipe: Pipe, rules: ProjectRules) -> tuple[Word, str] | None:
    """Return the line that keeps a sink from running, and why; None if it runs."""
    if (found := sink_obstacle(pipe, project.connections)) is not None:
        return found
    lacks = rules.no_producer and is_topic_sink(pipe.export)
    return (pipe.export["EXPORT_KAFKA_TOPIC"], rules.no_producer) if lacks else None


def _is_served(project: Project, source: DataSource, rules: ProjectRules) -> bool:
    if is_kafka(source.connector):
        return _unread(project, source, rules) is None
    return is_bucket(source.connector) and _not_imported(project, source, rules) is None


def _not_imported(project: Project, source: DataSource, rules: ProjectRules) -> tuple[Word, str] | None:
    """Return the line that keeps a data source from importing its files, and why; None if it does."""
    if (found := bucket_obstacle(source, project.connections)) is not None:
        return found
    uri = source.connector["IMPORT_BUCKET_URI"]
    if not source.ingestible:
        return uri, _AGGREGATES
    return (uri, rules.no_buckets) if rules.no_buckets else None


def _unread(project: Project, source: DataSource, rules: ProjectRules) -> tuple[Word, str] | None:
    """Return the line that keeps a Kafka data source from reading its topic, and why; None if it reads."""
    if (found := kafka_obstacle(source, project.connections)) is not None:
        return found
    if not source.ingestible:
        return next(iter(source.connector.values())), _AGGREGATES
    if rules.no_kafka:
        return source.connector.get("KAFKA_TOPIC") or next(iter(source.connector.values())), rules.no_kafka
    return None
