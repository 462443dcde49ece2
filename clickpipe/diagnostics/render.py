"""Renders diagnostics as text for a terminal, as JSON, and as annotations for GitHub Actions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clickpipe.diagnostics.model import Diagnostic, Related, Severity, Sources, Span

_RED, _YELLOW, _BLUE, _BOLD, _RESET = "\x1b[31m", "\x1b[33m", "\x1b[34m", "\x1b[1m", "\x1b[0m"


class _Paint:
    """Wraps text in ANSI colours, or leaves it unchanged."""

    def __init__(self, *, color: bool) -> None:
        self._color = color

    def __call__(self, text: str, *codes: str) -> str:
        return "".join(codes) + text + _RESET if self._color else text


def render_text(diagnostics: Sequence[Diagnostic], sources: Sources, *, color: bool = False) -> str:
    """Return the diagnostics for people: place, line, caret, hint; without a final newline."""
    paint = _Paint(color=color)
    return "\n\n".join(_one(d, sources, paint) for d in diagnostics)


def _one(diagnostic: Diagnostic, sources: Sources, paint: _Paint) -> str:
    tone = _RED if diagnostic.severity is Severity.ERROR else _YELLOW
    at = sources.position(diagnostic.span)
    head = f"{diagnostic.span.file}:{at.line}:{at.column}: "
    kind = paint(f"{diagnostic.severity.value}[{diagnostic.code}]", _BOLD, tone)
    lines = [f"{paint(head, _BOLD)}{kind}: {diagnostic.message}", *_excerpt(diagnostic.span, sources, paint, tone)]
    for related in diagnostic.related:
        where = sources.position(related.span)
        lines.append(f"  {paint('note', _BOLD)}: {related.message}: {related.span.file}:{where.line}:{where.column}")
    if diagnostic.hint:
        hint = diagnostic.hint.replace("\n", "\n        ")
        lines.append(f"  {paint('hint', _BOLD, _BLUE)}: {hint}")
    return "\n".join(lines)


def _excerpt(span: Span, sources: Sources, paint: _Paint, tone: str) -> list[str]:
    """Return the line in which the span starts, with carets below it."""
    source = sources.source(span.file)
    at = source.position(span.start)
    text = source.line(at.line)
    if not text.strip():
        return []
    width = max(1, min(span.end - span.start, len(text) - at.column + 1))
    number = str(at.line)
    pad = "".join("\t" if c == "\t" else " " for c in text[: at.column - 1])
    return [f"  {number} | {text}", f"  {' ' * len(number)} | {pad}{paint('^' * width, tone)}"]


def as_dict(diagnostic: Diagnostic, sources: Sources) -> dict[str, Any]:
    """Return a diagnostic as plain data, with lines and columns counted from 1."""
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity.value,
        "message": diagnostic.message,
        "hint": diagnostic.hint,
        **_place(diagnostic.span, sources),
        "related": [{"message": r.message, **_place(r.span, sources)} for r in diagnostic.related],
    }


def _place(span: Span, sources: Sources) -> dict[str, Any]:
    source = sources.source(span.file)
    start, end = source.position(span.start), source.position(span.end)
    return {
        "file": span.file,
        "line": start.line,
        "column": start.column,
        "end_line": end.line,
        "end_column": end.column,
    }


def from_dict(data: Mapping[str, Any], sources: Sources) -> Diagnostic:
    """Return the diagnostic from the output of `as_dict`, over the same texts."""
    related = tuple(Related(r["message"], _span(r, sources)) for r in data["related"])
    severity = Severity(data["severity"])
    return Diagnostic(data["code"], data["message"], _span(data, sources), severity, data["hint"], related)


def _span(place: Mapping[str, Any], sources: Sources) -> Span:
    source = sources.source(place["file"])
    start = source.offset(place["line"], place["column"])
    return Span(place["file"], start, source.offset(place["end_line"], place["end_column"]))


def render_github(diagnostics: Iterable[Diagnostic], sources: Sources) -> str:
    """Return the diagnostics as workflow commands, which GitHub Actions shows at their lines in a pull request."""
    lines = []
    for diagnostic in diagnostics:
        place = _place(diagnostic.span, sources)
        properties = {
            "file": place["file"],
            "line": place["line"],
            "col": place["column"],
            "endLine": place["end_line"],
            "endColumn": place["end_column"],
            "title": diagnostic.code,
        }
        shown = ",".join(f"{name}={_escape(str(value), ':,')}" for name, value in properties.items())
        text = diagnostic.message + (f"\n{diagnostic.hint}" if diagnostic.hint else "")
        lines.append(f"::{diagnostic.severity.value} {shown}::{_escape(text)}")
    return "\n".join(lines)


def _escape(text: str, more: str = "") -> str:
    for char in f"%\r\n{more}":
        text = text.replace(char, f"%{ord(char):02X}")
    return text


def render_json(diagnostics: Iterable[Diagnostic], sources: Sources) -> str:
    """Return the diagnostics as a JSON array of objects (see `as_dict`)."""
    return json.dumps([as_dict(d, sources) for d in diagnostics], indent=2, ensure_ascii=False)
