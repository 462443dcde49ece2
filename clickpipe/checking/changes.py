"""Checks a folder that was checked before: only what a change affects (`compiler/incremental.py`).

The names, digests and diagnostics of all files are kept in the project's cache.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from clickpipe.checking.whole import compile_alone
from clickpipe.compiler import CompiledProject, FileNames, Known, is_ambiguous, merged, part_of, scope_of
from clickpipe.config import ProjectRules
from clickpipe.diagnostics import Diagnostic, Sources
from clickpipe.folder import CheckResult, FileRecord, Records, RecordStore, text_digest
from clickpipe.project import load_files, read_texts


def check_changes(root: Path, files: Mapping[str, bytes | OSError], rules: ProjectRules) -> CheckResult:
    """Check the files, and store the result: see `clickpipe.checking.check_changes`."""
    store = RecordStore(root)
    texts, unreadable = read_texts(files)
    known = None if unreadable else store.load()
    usable = known is not None and known.rules == rules.key() and not is_ambiguous(known.diagnostics)
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
    """Return the result of checking what changed; None if only a whole check can tell."""
    before = _known(known)
    scope = scope_of(before, texts, {file for file in texts if _differs(known, file, texts[file])})
    project = part_of(scope, texts)
    compiled = compile_alone(project, rules) if scope.again else None
    if compiled is not None and is_ambiguous(compiled.diagnostics):
        return None
    files = {file: record for file, record in known.files.items() if file in texts}
    if compiled is not None:
        files |= {file: record for file, record in _records(compiled).items() if file in scope.again}
    diagnostics = merged(before, scope, compiled)
    sources = Sources({**texts, **project.sources.texts})
    return CheckResult(diagnostics, sources, *_counts(texts)), Records(files, diagnostics, known.rules)


def _known(records: Records) -> Known:
    """Return records as the compiler takes them."""
    names = {file: FileNames(frozenset(r.defines), frozenset(r.reads)) for file, r in records.files.items()}
    return Known(names, {file: r.includes for file, r in records.files.items()}, records.diagnostics)


def _differs(known: Records, file: str, text: str) -> bool:
    return file not in known.files or known.files[file].digest != _digest(text)


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
    """Return the numbers of data sources and pipes."""
    suffixes = Counter(PurePosixPath(file).suffix for file in files)
    return suffixes[".datasource"], suffixes[".pipe"]
