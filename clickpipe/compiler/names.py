"""The names that each file defines and reads, to find what to check again when a file changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from clickpipe.compiler.graph import Graph, render_nodes
from clickpipe.compiler.table_names import QUARANTINE_SUFFIX
from clickpipe.diagnostics import Diagnostic
from clickpipe.project import DataSource, Pipe, Project, connection_names, load_texts, resource_name
from clickpipe.sql import Kind, tokens

INCLUDED = ".incl"  # read by every file with an INCLUDE, defined by every .incl file


@dataclass(frozen=True, slots=True)
class FileNames:
    """The names that a file defines, and those it reads: data sources and pipes, connections as `@name`."""

    defines: frozenset[str]
    reads: frozenset[str]


def file_names(project: Project, graph: Graph) -> dict[str, FileNames]:
    """Return the names of each of the project's files."""
    return _file_names(project, ((info.pipe, name) for info in graph.by_key.values() for name in info.names))


def _file_names(project: Project, named: Iterable[tuple[Pipe, str]]) -> dict[str, FileNames]:
    """Return the names of each file; `named` are pairs of a pipe and a name in its SQL that may be a table."""
    reads: dict[str, set[str]] = {file: set() for file in project.files}
    defines: dict[str, set[str]] = {file: _defined(file) for file in project.files}
    for source in project.data_sources.values():
        defines[source.file] |= _versions(source)
        reads[source.file] |= {f"@{word.text}" for word in connection_names(source.connector)}
    for pipe in project.pipes.values():
        defines[pipe.file] |= _versions(pipe)
        reads[pipe.file] |= {f"@{word.text}" for word in connection_names(pipe.export)}
        if pipe.target is not None:
            reads[pipe.file] |= _meant(pipe.target.text)
            if pipe.engine is not None:
                defines[pipe.file] |= _with_quarantine(pipe.target.text)
    for pipe, name in named:
        reads[pipe.file] |= _meant(name)
    for file, texts in project.included.items():
        if texts:
            reads[file].add(INCLUDED)
    return {file: FileNames(frozenset(defines[file]), frozenset(reads[file])) for file in project.files}


def changed_names(texts: Mapping[str, str], files: Collection[str]) -> dict[str, FileNames]:
    """Return the names of some of the files, given all texts; each may include any of the others.

    Works without ClickHouse: every name in its SQL counts as read, even those of columns and functions.
    """
    project = load_texts({file: text for file, text in texts.items() if file in files or file.endswith(INCLUDED)})
    named = (
        (pipe, name)
        for pipe, _, variants, _ in render_nodes(project)
        for variant in variants
        for name in _names_in(variant.rendered.text)
    )
    return {file: names for file, names in _file_names(project, named).items() if file in files}


def _names_in(sql: str) -> set[str]:
    """Return the names in SQL, qualified ones too, and its strings: joinGet names tables in a string."""
    found: set[str] = set()
    before = ""
    for token in tokens(sql):
        if token.is_name or token.kind is Kind.TEXT:
            found.add(token.value)
            if before.endswith("."):
                found.add(f"{before}{token.value}")
            before = token.value
        else:
            before = f"{before}." if token.value == "." and before else ""
    return found


def owners(included: Mapping[str, Collection[str]], diagnostic: Diagnostic) -> set[str]:
    """Return a diagnostic's file, and the files that include it; `included` maps files to what they include."""
    place = diagnostic.span.file
    return {place, *(file for file, names in included.items() if place in names)}


def _defined(file: str) -> set[str]:
    path = PurePosixPath(file)
    if path.suffix == INCLUDED:
        return {INCLUDED}
    if path.suffix == ".connection":
        return {f"@{path.stem}"}
    if path.suffix not in {".datasource", ".pipe"}:
        return set()
    return _with_quarantine(resource_name(file)) if path.suffix == ".datasource" else {path.stem}


def _versions(resource: DataSource | Pipe) -> set[str]:
    return {f"{resource.name}__v{resource.version}"} if resource.version else set()


def _with_quarantine(name: str) -> set[str]:
    return {name, f"{name}{QUARANTINE_SUFFIX}"}


def _meant(name: str) -> set[str]:
    """Return the names that a name may refer to: `events__v2` is also `events` with VERSION 2."""
    base, mark, version = name.rpartition("__v")
    return {name, base} if mark and version.isdigit() else {name}


def affected(
    known: Mapping[str, FileNames], changed: Mapping[str, FileNames], gone: Iterable[str], doubtful: Iterable[str]
) -> set[str]:
    """Return the files to check again: those `changed`, those that read what changed, and the `doubtful` ones.

    `known` are the names of all files when they were last checked, `gone` are files that no longer exist.
    """
    names = {name for file in (*changed, *gone) if file in known for name in known[file].defines}
    names |= {name for new in changed.values() for name in new.defines}
    found = {*changed, *gone}
    grew = True
    while grew:
        grew = False
        for file, old in known.items():
            if file not in found and (not names.isdisjoint(old.reads) or not names.isdisjoint(old.defines)):
                found.add(file)
                names |= old.defines
                grew = True
    return {*found, *doubtful} - set(gone)


def needed(names: Mapping[str, FileNames], files: Iterable[str]) -> set[str]:
    """Return the files and all that they read, directly or indirectly; any file may need included ones."""
    owners: dict[str, list[str]] = {}
    for file, own in names.items():
        for name in own.defines:
            owners.setdefault(name, []).append(file)
    found: set[str] = set()
    stack = [*files, *owners.get(INCLUDED, ())]
    while stack:
        file = stack.pop()
        if file not in found:
            found.add(file)
            stack.extend(owner for name in names[file].reads for owner in owners.get(name, ()))
    return found
