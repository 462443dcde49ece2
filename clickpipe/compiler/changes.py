"""Compiles a project that was compiled before: only what a change affects (`incremental.py`)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from clickpipe.compiler.checker import Checker, ResultColumn
from clickpipe.compiler.compile import compile_project, restore_project
from clickpipe.compiler.incremental import Known, is_ambiguous, merged, part_of, scope_of
from clickpipe.compiler.model import CompiledProject
from clickpipe.config import DEFAULT_RULES, ProjectRules
from clickpipe.diagnostics import has_errors
from clickpipe.project import Project


def compile_changes(
    project: Project, known: CompiledProject, checker: Checker, rules: ProjectRules = DEFAULT_RULES
) -> CompiledProject:
    """Return what `compile_project` returns, in the time that the changes take.

    `known` was compiled by either function, without errors. If the result has errors, it holds only the diagnostics and
    the files they are about.
    """
    texts = project.files
    if known.rules != rules or _ambiguous(project) or _ambiguous(known.project) or _unreadable(project):
        return compile_project(project, checker, rules)
    before = Known(known.names, known.project.included, known.diagnostics)
    scope = scope_of(before, texts, {file for file, text in texts.items() if known.project.files.get(file) != text})
    learned = _learned(known, scope.again, texts)
    compiled = restore_project(project, known.reader, learned, rules)
    # a pipe without a TYPE becomes an endpoint once nothing reads it any more
    untyped = {project.pipes[name].file for name in compiled.endpoints if name not in learned}
    scope = replace(scope, again=scope.again | untyped)
    part = compile_project(part_of(scope, texts), checker, rules) if scope.again else None
    if part is not None:
        compiled = part
        if not has_errors(part.diagnostics):
            compiled = restore_project(project, known.reader, learned | part.learned(), rules)
    return replace(compiled, diagnostics=merged(before, scope, part))


def _learned(known: CompiledProject, again: Collection[str], texts: Collection[str]) -> dict[str, list[ResultColumn]]:
    """Return what ClickHouse reported about unchanged files."""
    stale = {*again, *(known.names.keys() - texts)}
    forgotten = {name for file in stale & known.names.keys() for name in known.names[file].defines}
    return {name: columns for name, columns in known.learned().items() if name not in forgotten}


def _ambiguous(project: Project) -> bool:
    """Return whether a name means two things: one of them is left out, and what it reads is not known."""
    return is_ambiguous(project.diagnostics) or not project.pipes.keys().isdisjoint(project.undefined_targets())


def _unreadable(project: Project) -> bool:
    """Return whether a diagnostic is about a file that is not among the texts: it could not be read."""
    included = {name for names in project.included.values() for name in names}
    return any(d.span.file not in project.files and d.span.file not in included for d in project.diagnostics)
