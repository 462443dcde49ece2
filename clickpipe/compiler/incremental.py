"""What a change affects: the one rule by which `check` and deployments compile less than a whole project.

A file without an error yields the same diagnostics as long as it, what it reads and the names in it are unchanged. So
the files to compile again are those that changed, those that read a name which a changed file defines or defined, and
those with errors: their hints depend on names anywhere. They are compiled with everything they read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from clickpipe.compiler.model import CompiledProject
from clickpipe.compiler.names import INCLUDED, FileNames, affected, changed_names, needed, owners
from clickpipe.diagnostics import Diagnostic, Severity, sort_diagnostics
from clickpipe.project import Project, load_texts

_TWO_OF_ONE_NAME = "CP2001"


@dataclass(frozen=True, slots=True)
class Known:
    """The result of an earlier compilation: each file's names, the texts that files include, and all diagnostics."""

    names: Mapping[str, FileNames]
    included: Mapping[str, Collection[str]]
    diagnostics: Sequence[Diagnostic]


@dataclass(frozen=True, slots=True)
class Scope:
    """The files that a change affects (`again`), those that are gone, and the names of all files as they are now."""

    again: frozenset[str]
    gone: frozenset[str]
    names: Mapping[str, FileNames]


def scope_of(known: Known, texts: Mapping[str, str], differing: Collection[str]) -> Scope:
    """Return what a change affects; `differing` are the files whose text is not the known one, or new."""
    changed = changed_names(texts, differing)
    gone = known.names.keys() - texts.keys()
    again = affected(known.names, changed, gone, _doubtful(known))
    names = {file: own for file, own in {**known.names, **changed}.items() if file in texts}
    return Scope(frozenset(again), frozenset(gone), names)


def part_of(scope: Scope, texts: Mapping[str, str]) -> Project:
    """Load the affected files with everything they read, and no others."""
    loaded = {file: texts[file] for file in sorted(needed(scope.names, scope.again))} if scope.again else {}
    return load_texts(loaded, elsewhere=texts.keys() - loaded.keys())


def merged(known: Known, scope: Scope, part: CompiledProject | None) -> tuple[Diagnostic, ...]:
    """Return the diagnostics of the whole project: new ones of affected files, known ones of the others."""
    stale = scope.again | scope.gone
    found = [d for d in known.diagnostics if stale.isdisjoint(owners(known.included, d))]
    if part is not None:
        found += [d for d in part.diagnostics if not scope.again.isdisjoint(owners(part.project.included, d))]
    return tuple(sort_diagnostics(found))


def is_ambiguous(diagnostics: Iterable[Diagnostic]) -> bool:
    """Return whether two files define one name: one of them is left out, and what it reads is not known."""
    return any(diagnostic.code == _TWO_OF_ONE_NAME for diagnostic in diagnostics)


def _doubtful(known: Known) -> set[str]:
    """Return the files with an error, or with a diagnostic at a place in what they include."""
    found: set[str] = set()
    for diagnostic in known.diagnostics:
        places = [diagnostic.span.file, *(related.span.file for related in diagnostic.related)]
        included = any(place.endswith(INCLUDED) or place not in known.names for place in places)
        if included or diagnostic.severity is Severity.ERROR:
            found |= owners(known.included, diagnostic)
            for place in places:
                found |= {file for file, names in known.included.items() if place in names}
    return found & known.names.keys()
