"""Finds `{{ tb_secret("NAME", "default") }}` in data source and connection files: the secrets that a project needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from clickpipe.datafile import Statement
from clickpipe.diagnostics import ClickpipeError, Diagnostic, Word
from clickpipe.project.model import Secret

_CALL = re.compile(r"\{\{((?:(?!\{\{).)*?)\}\}", re.DOTALL)
_SECRET = re.compile(r"""^\s*tb_secret\(\s*(["'])(?P<name>\w+)\1\s*(?:,\s*(["'])(?P<default>.*?)\3\s*)?\)\s*$""")


def find_secrets(statements: Iterable[Statement]) -> tuple[list[Secret], list[Diagnostic]]:
    """Return the secrets used in values, and diagnostics of other calls, which are not supported there."""
    found: list[Secret] = []
    diagnostics: list[Diagnostic] = []
    for statement in statements:
        if statement.directive in {"DESCRIPTION", "FORWARD_QUERY"}:
            continue
        for word in _arguments(statement):
            for call in _CALL.finditer(word.text):
                match = _SECRET.match(call[1])
                span = word.span.sub(call.start(), call.end())
                if match is not None:
                    found.append(Secret(match["name"], match["default"], span))
                    continue
                hint = 'write {{ tb_secret("NAME") }} or {{ tb_secret("NAME", "default") }}'
                diagnostics.append(Diagnostic("CP1013", "only tb_secret() can be called here", span, hint=hint))
    return found, diagnostics


def fill_secrets(text: str, secret: Callable[[str], str | None]) -> str:
    """Return a value with its secrets filled in. Raises ClickpipeError for one that is not set and has no default."""

    def value(call: re.Match[str]) -> str:
        match = _SECRET.match(call[1])
        if match is None:
            return call[0]
        found = secret(match["name"])
        found = match["default"] if found is None else found
        if found is None:
            message = f"The secret '{match['name']}' is not set: run `clickpipe secret set {match['name']}`."
            raise ClickpipeError(message, code="missing_secret")
        return found

    return _CALL.sub(value, text)


def _arguments(statement: Statement) -> tuple[Word, ...]:
    return statement.words or (statement.argument,)
