"""Lines that are read and checked, and do nothing in this build: connectors that would fetch, sinks that would send."""

from __future__ import annotations

from collections.abc import Iterator

from clickpipe.diagnostics import Diagnostic, Severity
from clickpipe.project import PipeKind, Project


def unserved_lines(project: Project) -> Iterator[Diagnostic]:
    """Yield a warning for each line of a connector or a sink."""
    for source in project.data_sources.values():
        for directive, word in source.connector.items():
            message = f"{directive} does nothing here: this build fetches no rows for '{source.name}'"
            hint = "send them to /v0/events, or append files"
            yield Diagnostic("CP1014", message, word.span, Severity.WARNING, hint)
    for pipe in project.pipes.values():
        if pipe.kind is PipeKind.SINK:
            for directive, word in pipe.export.items():
                message = f"{directive} does nothing here: this build sends no rows of '{pipe.name}'"
                hint = "make it an endpoint, and fetch its rows"
                yield Diagnostic("CP1014", message, word.span, Severity.WARNING, hint)


def unserved_resources(project: Project) -> tuple[list[str], list[str]]:
    """Return the names of data sources that nothing is fetched for, and of sinks that do not run."""
    sources = [source.name for source in project.data_sources.values() if source.connector]
    sinks = [pipe.name for pipe in project.pipes.values() if pipe.kind is PipeKind.SINK]
    return sources, sinks
