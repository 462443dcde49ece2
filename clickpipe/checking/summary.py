"""Summarises a project: its resources, how many of them type-check, what it needs from its server."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from clickpipe.compiler import CompiledProject
from clickpipe.config import COPY_SOURCES
from clickpipe.diagnostics import CODES, MISSING, Severity
from clickpipe.project import PipeKind, connection_names

_SECRET = re.compile(r"\btb_(?:secret|var)\s*\(\s*['\"](\w+)['\"]")
_SOURCE = re.compile(rf"\b({'|'.join(COPY_SOURCES)})\s*\(", re.IGNORECASE)
_NAMED = re.compile(r"'([^']+)'")
_KINDS = (
    ("endpoints", PipeKind.ENDPOINT),
    ("materialized views", PipeKind.MATERIALIZED),
    ("copies", PipeKind.COPY),
    ("sinks", PipeKind.SINK),
    ("other pipes", PipeKind.DEFAULT),
)


@dataclass(frozen=True, slots=True)
class ProjectSummary:
    """`resources` by kind: (total, number without diagnostics about types).

    `errors` and `warnings` are counted by code. The others are names that the server must have: connections, secrets,
    table functions read by copies, and data sources that are not in the project.
    """

    resources: Mapping[str, tuple[int, int]]
    errors: Mapping[str, int]
    warnings: Mapping[str, int]
    connections: tuple[str, ...]
    secrets: tuple[str, ...]
    copy_sources: tuple[str, ...]
    missing: tuple[str, ...]

    def needs(self) -> dict[str, tuple[str, ...]]:
        """Return what the project needs from its server, by kind."""
        return {
            "connections": self.connections,
            "secrets": self.secrets,
            "copy_sources": self.copy_sources,
            "data sources": self.missing,
        }


def summarise(compiled: CompiledProject) -> ProjectSummary:
    """Summarise a compiled project."""
    project = compiled.project
    flagged = {d.span.file for d in compiled.diagnostics if d.severity is Severity.ERROR or d.code.startswith("CP4")}
    kinds = {name: compiled.endpoints.keys() if kind is PipeKind.ENDPOINT else () for name, kind in _KINDS}
    counted: dict[str, tuple[int, int]] = {
        "data sources": _counted([source.file for source in compiled.data_sources.values()], flagged)
    }
    for label, kind in _KINDS:
        pipes = [p for p in project.pipes.values() if p.name in kinds[label] or p.kind is kind]
        if kind is PipeKind.DEFAULT:
            pipes = [p for p in pipes if p.name not in compiled.endpoints]
        counted[label] = _counted([pipe.file for pipe in pipes], flagged)
    texts = [(pipe, node.program.source.text) for pipe in project.pipes.values() for node in pipe.nodes]
    options = [s.connector for s in project.data_sources.values()] + [p.export for p in project.pipes.values()]
    secrets = {name for _, text in texts for name in _SECRET.findall(text)}
    secrets |= {s.name for source in project.data_sources.values() for s in source.secrets}
    secrets |= {s.name for connection in project.connections.values() for s in connection.secrets}
    copies = [text for pipe, text in texts if pipe.kind is PipeKind.COPY]
    missing = {m[1] for d in compiled.diagnostics if d.code == MISSING and (m := _NAMED.search(d.message))}
    by_code = Counter((d.severity, d.code) for d in compiled.diagnostics)
    return ProjectSummary(
        {kind: found for kind, found in counted.items() if found[0]},
        {code: number for (severity, code), number in sorted(by_code.items()) if severity is Severity.ERROR},
        {code: number for (severity, code), number in sorted(by_code.items()) if severity is Severity.WARNING},
        tuple(sorted({word.text for found in options for word in connection_names(found)})),
        tuple(sorted(secrets)),
        tuple(sorted({name.lower() for text in copies for name in _SOURCE.findall(text)})),
        tuple(sorted(missing)),
    )


def _counted(files: list[str], flagged: set[str]) -> tuple[int, int]:
    return len(files), sum(file not in flagged for file in files)


def lines_of(summary: ProjectSummary, has: Mapping[str, frozenset[str]] | None = None) -> list[str]:
    """Return a summary as lines; `has` are the names that exist on a server, by kind, if one was asked."""
    lines = ["Resources:"]
    lines += [f"  {total:>4} {kind}, {good} type-check completely" for kind, (total, good) in summary.resources.items()]
    for title, found in (("Errors", summary.errors), ("Warnings", summary.warnings)):
        if found:
            lines.append(f"{title}:")
            lines += [f"  {number:>4} {code} {CODES[code].title}" for code, number in found.items()]
    lines.append("Needed on the server:")
    needed = [(kind, name) for kind, names in summary.needs().items() for name in names]
    for kind, name in needed:
        known = "" if has is None or kind not in has else ": found" if name in has[kind] else ": MISSING"
        lines.append(f"  {_ONE[kind]} {name}{known}")
    return lines if needed else [*lines, "  nothing"]


_ONE = {
    "connections": "connection",
    "secrets": "secret",
    "copy_sources": "the setting copy_sources with",
    "data sources": "data source",
}
