"""Renders diagnostics as JUnit XML, which CI systems show as one test per file."""

from __future__ import annotations

from collections.abc import Iterable

from clickpipe.diagnostics.model import Diagnostic, Severity, Sources
from clickpipe.diagnostics.render import render_text

_CONTROL = {code: None for code in range(32) if chr(code) not in "\t\n\r"}


def render_junit(diagnostics: Iterable[Diagnostic], sources: Sources) -> str:
    """Return a test suite with a case for each file: failed if it has errors, else passed, with warnings as output."""
    by_file: dict[str, list[Diagnostic]] = {file: [] for file in sorted(sources.texts)}
    for diagnostic in diagnostics:
        by_file.setdefault(diagnostic.span.file, []).append(diagnostic)
    cases = [_case(file, found, sources) for file, found in by_file.items()]
    failures = sum(any(d.severity is Severity.ERROR for d in found) for found in by_file.values())
    head = f'<testsuite name="clickpipe check" tests="{len(cases)}" failures="{failures}">'
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *cases, "</testsuite>"])


def _case(file: str, found: list[Diagnostic], sources: Sources) -> str:
    errors = [d for d in found if d.severity is Severity.ERROR]
    warnings = [d for d in found if d.severity is not Severity.ERROR]
    from xml.sax.saxutils import quoteattr  # imports urllib, too

    name = quoteattr(_clean(file))
    parts = []
    if errors:
        message = quoteattr(_clean(errors[0].message))
        kind = quoteattr(errors[0].code)
        parts.append(f"<failure message={message} type={kind}>{_text(errors, sources)}</failure>")
    if warnings:
        parts.append(f"<system-out>{_text(warnings, sources)}</system-out>")
    return f'  <testcase classname="check" name={name}>{"".join(parts)}</testcase>'


def _text(found: list[Diagnostic], sources: Sources) -> str:
    from xml.sax.saxutils import escape

    return escape(_clean(render_text(found, sources)))


def _clean(text: str) -> str:
    return text.translate(_CONTROL)
