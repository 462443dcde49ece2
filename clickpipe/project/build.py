"""Builds a Project from file texts: parses every file, turns statements into resources, collects diagnostics."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clickpipe.datafile import ConnectionFile, Datafile, DataSourceFile, parse_datafile
from clickpipe.diagnostics import (
    Diagnostic,
    Related,
    Severity,
    Sources,
    Span,
    did_you_mean,
    has_errors,
    sort_diagnostics,
)
from clickpipe.project.connectors import build_connection, connection_names
from clickpipe.project.datasource import build_data_source
from clickpipe.project.filenames import NOT_DEPLOYED, resource_name
from clickpipe.project.files import read_folder
from clickpipe.project.model import Connection, DataSource, Pipe, Project, names_of
from clickpipe.project.pipe import build_pipe

# Not reported for a file with a line that cannot be read: that line may be the missing one.
_MISSING = {"CP1105", "CP1202", "CP1203", "CP1301", "CP1303", "CP1304"}
_PARSED = (".datasource", ".pipe", ".connection")  # .incl files are read when they are included
_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_SHARED = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*$")  # of another workspace: its name, a dot


def load_folder(root: Path) -> Project:
    """Read a project folder. Raises nothing for mistakes in it: see `Project.diagnostics`."""
    return load_files(*read_folder(root))


def load_files(texts: Mapping[str, str], unreadable: Sequence[Diagnostic]) -> Project:
    """Build a folder's project from the result of `read_folder`."""
    if not texts and not unreadable:
        message = "no datafiles found: a project has .datasource and .pipe files"
        hint = "run `clickpipe init` to start one here"
        unreadable = [Diagnostic("CP2006", message, Span(".", 0, 0), hint=hint)]
    return load_texts(texts, unreadable)


def load_texts(
    texts: Mapping[str, str], diagnostics: Iterable[Diagnostic] = (), elsewhere: Collection[str] = ()
) -> Project:
    """Build a project from file texts by relative path; files that are not datafiles are ignored.

    If `texts` are only part of the project, `elsewhere` are the names of its other files.
    """
    state = _Loading(texts, list(diagnostics))
    shown = dict(texts)
    for file in sorted(texts):
        if not file.endswith(_PARSED) or file.startswith(NOT_DEPLOYED):
            continue
        tree, unread = parse_datafile(file, texts[file], texts)
        shown |= tree.included
        state.included[file] = tuple(tree.included)
        state.diagnostics += unread
        name = resource_name(file)
        if not (_NAME.match(name) or (_SHARED.match(name) and file.endswith(".datasource"))):
            hint = "name the file with letters, digits and _ only: it names a resource in SQL"
            state.diagnostics.append(Diagnostic("CP2002", f"'{name}' cannot be a name", Span(file, 0, 0), hint=hint))
            continue
        problems = _add(state, name, tree)
        state.diagnostics += [p for p in problems if not has_errors(unread) or p.code not in _MISSING]
    found = [*state.diagnostics, *_quarantine_names(state.data_sources), *_unknown_connections(state, elsewhere)]
    diagnostics = tuple(sort_diagnostics(found))
    resources = (state.data_sources, state.pipes, Sources(shown), diagnostics, state.connections)
    return Project(*resources, dict(texts), state.included, elsewhere)


@dataclass(slots=True)
class _Loading:
    texts: Mapping[str, str]
    diagnostics: list[Diagnostic]
    data_sources: dict[str, DataSource] = field(default_factory=dict)
    pipes: dict[str, Pipe] = field(default_factory=dict)
    connections: dict[str, Connection] = field(default_factory=dict)
    included: dict[str, tuple[str, ...]] = field(default_factory=dict)


def _add(state: _Loading, name: str, tree: Datafile) -> list[Diagnostic]:
    if isinstance(tree, ConnectionFile):  # its own namespace: SQL does not name connections
        connection, problems = build_connection(name, tree)
        if connection is not None:
            state.connections[name] = connection
        return problems
    resource: DataSource | Pipe | None
    if isinstance(tree, DataSourceFile):
        resource, problems = build_data_source(name, tree)
    else:
        resource, problems = build_pipe(name, tree)
    if resource is None:
        return problems
    first = state.data_sources.get(name) or state.pipes.get(name)
    if first is not None and type(first) is type(resource) and _same_text(state, first, resource):
        return []
    if first is not None:
        return [*problems, _used_twice(resource, Related("first defined here", first.span))]
    if isinstance(resource, DataSource):
        state.data_sources[name] = resource
    else:
        state.pipes[name] = resource
    return problems


def _same_text(state: _Loading, first: DataSource | Pipe, second: DataSource | Pipe) -> bool:
    return state.texts[first.file].strip() == state.texts[second.file].strip()


def _unknown_connections(state: _Loading, elsewhere: Collection[str]) -> Iterator[Diagnostic]:
    """Warn of connections that no file defines: they must already exist on the server."""
    uses = [s.connector for s in state.data_sources.values()] + [p.export for p in state.pipes.values()]
    for options in uses:
        for word in connection_names(options):
            if word.text not in state.connections:
                known = [*state.connections, *names_of(elsewhere, (".connection",))]
                hint = did_you_mean(word.text, known) or f"add connections/{word.text}.connection"
                message = f"the connection '{word.text}' is not in the project"
                yield Diagnostic("CP2007", message, word.span, Severity.WARNING, hint)


def _quarantine_names(data_sources: Mapping[str, DataSource]) -> list[Diagnostic]:
    """Report data sources that have the name of another one's quarantine."""
    taken = {f"{name}_quarantine": source for name, source in data_sources.items()}
    return [
        _used_twice(data_sources[name], Related("the name of this data source's quarantine", taken[name].span))
        for name in taken.keys() & data_sources.keys()
    ]


def _used_twice(resource: DataSource | Pipe, related: Related) -> Diagnostic:
    message = f"the name '{resource.name}' is used twice"
    return Diagnostic("CP2001", message, resource.span, related=(related,), hint="rename one of the files")
