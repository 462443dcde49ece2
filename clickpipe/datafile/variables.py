"""Replaces `$NAME` and `${NAME}` in values by environment variables; unknown names stay unchanged."""

from __future__ import annotations

import re
from collections.abc import Mapping

from clickpipe.datafile.scanner import scan
from clickpipe.datafile.syntax import Kind, Statement
from clickpipe.diagnostics import Word

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_PROSE = {"DESCRIPTION"}


def expand_variables(file: str, text: str, environment: Mapping[str, str]) -> str:
    """Return a datafile's text with the variables in its values replaced, but not those in blocks (SQL, SCHEMA).

    The extension of `file` determines the kind; a text of another kind is returned unchanged.
    """
    kind = next((k for k in Kind if file.endswith(f".{k.value}")), None)
    if kind is None or "$" not in text or not any((m[1] or m[2]) in environment for m in _VARIABLE.finditer(text)):
        return text
    statements, _ = scan(file, text, kind)
    words = [w for s in statements if s.directive not in _PROSE for w in _values(s)]
    for word in sorted(words, key=lambda w: w.span.start, reverse=True):
        new = _VARIABLE.sub(lambda m: environment.get(m[1] or m[2], m[0]), word.text)
        text = text[: word.span.start] + new + text[word.span.end :]
    return text


def _values(statement: Statement) -> tuple[Word, ...]:
    if statement.directive == "INCLUDE":
        return statement.words[:1]  # the path; the variables after it belong to INCLUDE itself
    return (*statement.words, *([statement.value] if statement.value else []))
