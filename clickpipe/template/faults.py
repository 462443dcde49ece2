"""Reports what is wrong with a template that cannot be parsed, and where."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import replace

from jinja2 import TemplateSyntaxError

from clickpipe.diagnostics import Diagnostic, Word
from clickpipe.template.discover import find_parameters, forbidden_tags, problem
from clickpipe.template.environment import build, parse
from clickpipe.template.source import normalise

_ABOUT = re.compile(r"block for (\w+)|Extra {% (\w+) %}|'(else) if'|^(\w+) is forbidden")  # the word to point at
_PIECE = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\w+|[^\w\s]", re.ASCII)
_LONG = 20_000  # characters: parsing this takes some 20 ms, and happens several times
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_NO_COMMA = "expected token ','"


def faults(source: Word) -> list[Diagnostic]:
    """Return what is wrong with a template, parsed without its shape's shortcuts so that line numbers are right."""
    text = normalise(source.text)
    try:
        tree = parse(text)
        _, diagnostics = find_parameters(tree, source)
        diagnostics = [*forbidden_tags(tree, source), *diagnostics]
        if not diagnostics:
            build(text)
    except TemplateSyntaxError as error:
        return [_fault(source, text, error)]
    return diagnostics


def _fault(source: Word, text: str, error: TemplateSyntaxError) -> Diagnostic:
    message = error.message or "the template cannot be parsed"
    word = _ABOUT.search(message)
    found = problem(source, "CP3001", message, error.lineno, word[word.lastindex or 0] if word else "")
    place = None if word else _place(text, error)
    if place is not None:
        found = replace(found, span=source.span.sub(*place))
    return replace(found, hint="is a comma missing before it?") if message.startswith(_NO_COMMA) else found


def _place(text: str, error: TemplateSyntaxError) -> tuple[int, int] | None:
    """Return the span of the word at which parsing stops: the first after which a cut-off template fails the same.

    Returns None if no word of the line qualifies, and for very long templates.
    """
    if len(text) > _LONG:
        return None
    start = sum(len(line) for line in text.splitlines(keepends=True)[: error.lineno - 1])
    end = text.find("\n", start)
    pieces = list(_PIECE.finditer(text, start, end if end >= 0 else len(text)))
    at = bisect_left(pieces, True, key=lambda piece: _stops(text[: piece.end()], error))
    return pieces[at].span() if at < len(pieces) else None


def _stops(beginning: str, error: TemplateSyntaxError) -> bool:
    """Return whether parsing a truncated template, with its brackets closed, fails in the same way as the whole."""
    tag = max(beginning.rfind("{%"), beginning.rfind("{{"))
    closing: list[str] = []
    for piece in _PIECE.findall(beginning, tag + 2):
        if piece in _CLOSING:
            closing.append(_CLOSING[piece])
        elif closing and piece == closing[-1]:
            closing.pop()
    try:
        parse(beginning + "".join(reversed(closing)) + (" %}" if beginning.startswith("{%", tag) else " }}"))
    except TemplateSyntaxError as found:
        return (found.message, found.lineno) == (error.message, error.lineno)
    return False
