"""Builds sinks, and checks that the columns which name their files are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from clickpipe.compiler.checker import ResultColumn
from clickpipe.compiler.graph import Graph, Key
from clickpipe.compiler.model import SinkPipe
from clickpipe.compiler.views import parameters
from clickpipe.diagnostics import Diagnostic, Severity, did_you_mean
from clickpipe.project import (
    NameColumn,
    PipeKind,
    Project,
    is_file_sink,
    is_topic_sink,
    name_problem,
    sink_files,
    sink_obstacle,
    sink_schedule,
)


def build_sinks(project: Project, graph: Graph) -> tuple[dict[str, SinkPipe], list[Diagnostic]]:
    """Return the sinks, and warnings of schedules that start nothing: a parameter has no default."""
    sinks: dict[str, SinkPipe] = {}
    diagnostics: list[Diagnostic] = []
    for pipe in project.pipes.values():
        if pipe.kind is not PipeKind.SINK or not (is_file_sink(pipe.export) or is_topic_sink(pipe.export)):
            continue
        schedule = sink_schedule(pipe)
        required = [p.name for p in parameters(graph, pipe) if p.required]
        if required and schedule:
            message = f"the schedule starts no run: there is no default for {', '.join(required)}"
            span, hint = pipe.export["EXPORT_SCHEDULE"].span, "give defaults, or EXPORT_SCHEDULE @on-demand"
            diagnostics.append(Diagnostic("CP3005", message, span, Severity.WARNING, hint))
            schedule = ""
        sinks[pipe.name] = SinkPipe(pipe.name, schedule, pipe)
    return sinks, diagnostics


def check_names(
    project: Project, sinks: Mapping[str, SinkPipe], types: Mapping[Key, Sequence[ResultColumn]]
) -> Iterator[Diagnostic]:
    """Yield a warning for each column in EXPORT_FILE_TEMPLATE that the query does not return, or that is no time."""
    for sink in sinks.values():
        columns = types.get((sink.name, sink.pipe.output.name))
        runs = sink_obstacle(sink.pipe, project.connections) is None
        if columns is None or not runs or not is_file_sink(sink.pipe.export):
            continue
        known = {column.name: column.type for column in columns}
        word = sink.pipe.export["EXPORT_FILE_TEMPLATE"]
        files = sink_files({name: each.text for name, each in sink.pipe.export.items()})
        for part in files.names.parts:
            if isinstance(part, NameColumn) and (problem := name_problem(part, known)):
                hint = did_you_mean(part.name, known) or "name a column of the last SELECT"
                yield Diagnostic("CP1014", f"'{sink.name}' cannot run: {problem}", word.span, Severity.WARNING, hint)
