"""Condenses many diagnostics: missing data sources once each, at the top; counts by code and file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from clickpipe.diagnostics.codes import CODES
from clickpipe.diagnostics.model import Diagnostic, Related, Severity

MISSING = "CP2010"  # a data source that is not in the project
_PLACES, _FILES = 3, 10


def merge_missing(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Return the diagnostics with each missing data source reported once, first, with some of its places."""
    found = list(diagnostics)
    missing: dict[str, list[Diagnostic]] = {}
    for diagnostic in found:
        if diagnostic.code == MISSING:
            missing.setdefault(diagnostic.message.split(", when ")[0], []).append(diagnostic)
    merged = []
    for message, places in missing.items():
        first = min(places, key=lambda d: d.severity is Severity.WARNING)
        others = [d for d in places if d is not first]
        if others:
            more = len(others) - _PLACES
            related = [Related("also read here", d.span) for d in others[:_PLACES]]
            where = f" (read in {len(places)} places)"
            hint = f"{first.hint}; and {more} more places" if more > 0 else first.hint
            first = replace(first, message=f"{message}{where}", related=tuple(related), hint=hint)
        merged.append(first)
    return [*merged, *(d for d in found if d.code != MISSING)]


def counts(diagnostics: Sequence[Diagnostic]) -> list[str]:
    """Return lines that count diagnostics by code, then by file."""
    by_code = Counter((d.severity is Severity.WARNING, d.code) for d in diagnostics)
    lines = [
        f"  {number:>5}  {'warning' if warning else 'error'}[{code}]: {CODES[code].title}"
        for (warning, code), number in sorted(by_code.items(), key=lambda item: (item[0][0], -item[1], item[0][1]))
    ]
    by_file = Counter(d.span.file for d in diagnostics)
    lines.append("")
    lines += [f"  {number:>5}  {file}" for file, number in by_file.most_common(_FILES)]
    if len(by_file) > _FILES:
        lines.append(f"         and {len(by_file) - _FILES} more files")
    return lines
