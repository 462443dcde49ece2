"""Finds parameters that are declared with two types: a request has one value for both."""

from __future__ import annotations

import re
from collections.abc import Iterator

from clickpipe.compiler.graph import Graph, NodeInfo
from clickpipe.diagnostics import Diagnostic, Related, Severity, Span
from clickpipe.project import Project
from clickpipe.template import agree


def conflicting_types(graph: Graph, project: Project) -> list[Diagnostic]:
    """Warn of parameters with two types that no value can satisfy, within one pipe and what it reads."""
    found: dict[tuple[str, int], Diagnostic] = {}
    for pipe in project.pipes.values():
        first: dict[str, tuple[str, Span]] = {}
        for info in graph.reachable(pipe, pipe.output):
            for name, type_, place in _declarations(info):
                known, at = first.setdefault(name, (type_, place))
                if known != type_ and not agree(known, type_):
                    message = f"the parameter '{name}' is {type_} here and {known} elsewhere"
                    related = (Related(f"{known} here", at),)
                    hint = "use one type: values must be valid for both, and clients see only the first"
                    warning = Diagnostic("CP3009", message, place, Severity.WARNING, hint, related)
                    found.setdefault((place.file, place.start), warning)
    return list(found.values())


def _declarations(info: NodeInfo) -> Iterator[tuple[str, str, Span]]:
    source = info.node.program.source
    for parameter in info.node.program.parameters:
        for type_ in (parameter.type, *parameter.also) if parameter.typed else ():
            call = type_.split("(")[0]
            match = re.search(rf"\b{call}\s*\(\s*{re.escape(parameter.name)}\b", source.text)
            place = source.span.sub(match.start(), match.end()) if match else source.span.sub(0, 1)
            yield parameter.name, type_, place
