"""File texts to a Project: parse every file, turn statements into resources, collect what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from clickpipe.datafile import DataSourceFile, PipeFile, parse_datafile
from clickpipe.diagnostics import Diagnostic, Related, Sources, Span, sort_diagnostics
from clickpipe.project.datasource import build_data_source
from clickpipe.project.files import ENDINGS, read_folder
from clickpipe.project.model import DataSource, Pipe, Project
from clickpipe.project.pipe import build_pipe

# What a file lacks is not told where a line of it cannot be read: that line may be the one.
_MISSING = {"CP1105", "CP1202", "CP1301", "CP1303", "CP1304"}
_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


def load_folder(root: Path) -> Project:
    """Read a project folder. Nothing is raised for what is wrong in it: see `Project.diagnostics`."""
    texts, unreadable = read_folder(root)
    if not texts and not unreadable:
        message = "no datafiles found: a project has .datasource and .pipe files"
        hint = "run `clickpipe init` to start one here"
        unreadable = [Diagnostic("CP2006", message, Span(".", 0, 0), hint=hint)]
    return load_texts(texts, unreadable)


def load_texts(texts: Mapping[str, str], diagnostics: Iterable[Diagnostic] = ()) -> Project:
    """Build a project from file texts by relative path; other files than datafiles are ignored."""
    found = list(diagnostics)
    data_sources: dict[str, DataSource] = {}
    pipes: dict[str, Pipe] = {}
    for file in sorted(texts):
        if not file.endswith(ENDINGS):
            continue
        tree, unread = parse_datafile(file, texts[file])
        found += unread
        name = PurePosixPath(file).stem
        if not _NAME.match(name):
            hint = "name the file with letters, digits and _ only: it names a resource in SQL"
            found.append(Diagnostic("CP2002", f"'{name}' cannot be a name", Span(file, 0, 0), hint=hint))
            continue
        problems = _add(name, tree, data_sources, pipes)
        found += [p for p in problems if not unread or p.code not in _MISSING]
    found += _quarantine_names(data_sources)
    return Project(data_sources, pipes, Sources(dict(texts)), tuple(sort_diagnostics(found)))


def _add(
    name: str, tree: DataSourceFile | PipeFile, data_sources: dict[str, DataSource], pipes: dict[str, Pipe]
) -> list[Diagnostic]:
    resource: DataSource | Pipe | None
    if isinstance(tree, DataSourceFile):
        resource, problems = build_data_source(name, tree)
    else:
        resource, problems = build_pipe(name, tree)
    if resource is None:
        return problems
    first = data_sources.get(name) or pipes.get(name)
    if first is not None:
        return [*problems, _used_twice(resource, Related("first defined here", first.span))]
    if isinstance(resource, DataSource):
        data_sources[name] = resource
    else:
        pipes[name] = resource
    return problems


def _quarantine_names(data_sources: Mapping[str, DataSource]) -> list[Diagnostic]:
    """Find data sources with the name that another one's quarantine has."""
    taken = {f"{name}_quarantine": source for name, source in data_sources.items()}
    return [
        _used_twice(data_sources[name], Related("the name of this data source's quarantine", taken[name].span))
        for name in taken.keys() & data_sources.keys()
    ]


def _used_twice(resource: DataSource | Pipe, related: Related) -> Diagnostic:
    message = f"the name '{resource.name}' is used twice"
    return Diagnostic("CP2001", message, resource.span, related=(related,), hint="rename one of the files")
