"""A project compiled before: what changed since is compiled and checked with what it reads and what reads it.

Files without an error say the same again as long as they, what they read and the names in them are as they were.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from clickpipe.compiler.checker import Checker, ResultColumn
from clickpipe.compiler.compile import compile_project, restore_project
from clickpipe.compiler.model import CompiledProject
from clickpipe.compiler.names import affected, changed_names, needed, owners
from clickpipe.config import DEFAULT_RULES, ProjectRules
from clickpipe.diagnostics import has_errors, sort_diagnostics
from clickpipe.project import Project, load_texts

_TWO_OF_ONE_NAME = "CP2001"


def compile_changes(
    project: Project, known: CompiledProject, checker: Checker, rules: ProjectRules = DEFAULT_RULES
) -> CompiledProject:
    """Return what `compile_project` gives, in the time that the changes take.

    `known` was compiled by it, or by this, and has no error. With an error in the result, it holds no more than the
    diagnostics and the files that they are about.
    """
    texts = project.files
    if known.rules != rules or _ambiguous(project) or _ambiguous(known.project) or _unreadable(project):
        return compile_project(project, checker, rules)
    before = known.names
    differing = {file for file, text in texts.items() if known.project.files.get(file) != text}
    changed = changed_names(texts, differing)
    again = affected(before, changed, before.keys() - texts.keys(), _included(known))
    names = {file: own for file, own in {**before, **changed}.items() if file in texts}
    learned = _learned(known, again, texts)
    compiled = restore_project(project, known.reader, learned, rules)
    # a pipe without a TYPE is an endpoint once nothing reads it any more
    again |= {project.pipes[name].file for name in compiled.endpoints if name not in learned}
    stale = again | (before.keys() - texts.keys())
    diagnostics = [d for d in known.diagnostics if stale.isdisjoint(owners(known.project.included, d))]
    if again:
        loaded = {file: texts[file] for file in sorted(needed(names, again))}
        part = compile_project(load_texts(loaded, elsewhere=texts.keys() - loaded.keys()), checker, rules)
        diagnostics += [d for d in part.diagnostics if not again.isdisjoint(owners(part.project.included, d))]
        if not has_errors(part.diagnostics):
            part = restore_project(project, known.reader, learned | part.learned(), rules)
        compiled = part
    return replace(compiled, diagnostics=tuple(sort_diagnostics(diagnostics)))


def _learned(known: CompiledProject, again: Collection[str], texts: Collection[str]) -> dict[str, list[ResultColumn]]:
    """Return what ClickHouse told of the files that are as they were."""
    stale = {*again, *(known.names.keys() - texts)}
    forgotten = {name for file in stale & known.names.keys() for name in known.names[file].defines}
    return {name: columns for name, columns in known.learned().items() if name not in forgotten}


def _ambiguous(project: Project) -> bool:
    """Tell whether a name means two things: of these one is left out, and nothing is known of what it reads."""
    targets = project.undefined_targets()
    return any(d.code == _TWO_OF_ONE_NAME for d in project.diagnostics) or not project.pipes.keys().isdisjoint(targets)


def _unreadable(project: Project) -> bool:
    """Tell whether something is told of a file that is not among the texts: it could not be read."""
    included = {name for names in project.included.values() for name in names}
    return any(d.span.file not in project.files and d.span.file not in included for d in project.diagnostics)


def _included(known: CompiledProject) -> set[str]:
    """Return the files with something told at a place in what they include."""
    places = {d.span.file for d in known.diagnostics} | {r.span.file for d in known.diagnostics for r in d.related}
    return {
        file
        for file, names in known.project.included.items()
        if not places.isdisjoint(names) and file in known.project.files
    }
