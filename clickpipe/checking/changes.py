"""A folder checked before: what changed since is checked with what it reads and what reads it, no other file.

A file without an error says the same again as long as it, what it reads and the names in it are as they were. So the
files to check again are those that changed, those that read a name which a changed file defines or defined, and those
with errors: their hints tell of names anywhere. They are compiled with all they read; of the diagnostics, those of
other files are kept from the last time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from clickpipe.checking.whole import compile_alone
from clickpipe.compiler import INCLUDED, CompiledProject, FileNames, affected, changed_names, needed, owners
from clickpipe.config import ProjectRules
from clickpipe.diagnostics import Diagnostic, Severity, Sources, sort_diagnostics
from clickpipe.folder import CheckResult, FileRecord, Records, RecordStore, text_digest
from clickpipe.project import load_files, load_texts, read_texts


def check_changes(root: Path, files: Mapping[str, bytes | OSError], rules: ProjectRules) -> CheckResult:
    """Check the files, and keep what was found: see `clickpipe.checking.check_changes`."""
    store = RecordStore(root)
    texts, unreadable = read_texts(files)
    known = None if unreadable else store.load()
    usable = known is not None and known.rules == rules.key() and not _ambiguous(known.diagnostics)
    found = _check_again(texts, known, rules) if known is not None and usable else None
    result, records = found or _check_all(texts, unreadable, rules)
    if texts and not unreadable:
        store.store(records)
    return result


def _check_all(
    texts: Mapping[str, str], unreadable: Sequence[Diagnostic], rules: ProjectRules
) -> tuple[CheckResult, Records]:
    compiled = compile_alone(load_files(texts, unreadable), rules)
    result = CheckResult(compiled.diagnostics, compiled.project.sources, *_counts(compiled.project.files))
    return result, Records(_records(compiled), compiled.diagnostics, rules.key())


def _check_again(texts: Mapping[str, str], known: Records, rules: ProjectRules) -> tuple[CheckResult, Records] | None:
    """Return what a check of the changes gives; None where only the whole tells."""
    again, names = _what_to_check(texts, known)
    loaded = {file: texts[file] for file in sorted(needed(names, again))} if again else {}
    project = load_texts(loaded, elsewhere=texts.keys() - loaded.keys())
    compiled = compile_alone(project, rules) if again else None
    if compiled is not None and _ambiguous(compiled.diagnostics):
        return None
    files = {file: record for file, record in known.files.items() if file in texts}
    if compiled is not None:
        files |= {file: record for file, record in _records(compiled).items() if file in again}
    stale = again | (known.files.keys() - texts.keys())
    kept = [d for d in known.diagnostics if stale.isdisjoint(_owners(known.files, d))]
    new = compiled.diagnostics if compiled is not None else ()
    diagnostics = tuple(sort_diagnostics([*kept, *(d for d in new if not again.isdisjoint(_owners(files, d)))]))
    sources = Sources({**texts, **project.sources.texts})
    return CheckResult(diagnostics, sources, *_counts(texts)), Records(files, diagnostics, known.rules)


def _ambiguous(diagnostics: Iterable[Diagnostic]) -> bool:
    """Tell whether two files define one name: of these one is left out, and nothing is known of what it reads."""
    return any(diagnostic.code == "CP2001" for diagnostic in diagnostics)


def _what_to_check(texts: Mapping[str, str], known: Records) -> tuple[set[str], Mapping[str, FileNames]]:
    """Return the files to check again, and the names of all files as they are now."""
    before = {file: FileNames(frozenset(r.defines), frozenset(r.reads)) for file, r in known.files.items()}
    differing = {
        file for file, text in texts.items() if file not in known.files or known.files[file].digest != _digest(text)
    }
    changed = changed_names(texts, differing)
    again = affected(before, changed, before.keys() - texts.keys(), _doubtful(known))
    return again, {file: own for file, own in {**before, **changed}.items() if file in texts}


def _doubtful(known: Records) -> set[str]:
    """Return the files with an error, or with something told at a place in what they include."""
    found: set[str] = set()
    for diagnostic in known.diagnostics:
        places = [diagnostic.span.file, *(related.span.file for related in diagnostic.related)]
        included = any(place.endswith(INCLUDED) or place not in known.files for place in places)
        if included or diagnostic.severity is Severity.ERROR:
            found |= _owners(known.files, diagnostic)
    return found & known.files.keys()


def _owners(files: Mapping[str, FileRecord], diagnostic: Diagnostic) -> set[str]:
    return owners({file: record.includes for file, record in files.items()}, diagnostic)


def _records(compiled: CompiledProject) -> dict[str, FileRecord]:
    project = compiled.project
    return {
        file: FileRecord(
            _digest(project.files[file]),
            tuple(sorted(names.defines)),
            tuple(sorted(names.reads)),
            tuple(project.included.get(file, ())),
        )
        for file, names in compiled.names.items()
    }


def _digest(text: str) -> str:
    return text_digest(text.encode(errors="surrogatepass"))


def _counts(files: Iterable[str]) -> tuple[int, int]:
    """Return how many data sources and pipes there are."""
    suffixes = Counter(PurePosixPath(file).suffix for file in files)
    return suffixes[".datasource"], suffixes[".pipe"]
