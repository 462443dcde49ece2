"""`INCLUDE "path" "NAME=value" …`: inserts the statements of another file, with `$NAME` replaced."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from clickpipe.datafile.scanner import scan
from clickpipe.datafile.syntax import Kind, Statement
from clickpipe.diagnostics import Diagnostic, Word, did_you_mean

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_MOST = 500


@dataclass(slots=True)
class _Expansion:
    kind: Kind
    texts: Mapping[str, str]
    included: dict[str, str] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    followed: int = 0

    def refuse(self, message: str, at: Word, hint: str) -> list[Statement]:
        self.diagnostics.append(Diagnostic("CP1012", message, at.span, hint=hint))
        return []


def expand_includes(
    file: str, statements: Sequence[Statement], kind: Kind, texts: Mapping[str, str]
) -> tuple[list[Statement], dict[str, str], list[Diagnostic]]:
    """Return the statements with every INCLUDE replaced by the file from `texts` that it names.

    A path is relative to the including file or, failing that, to the project's folder. Also returns the included texts
    by the name in their spans, and the diagnostics.
    """
    state = _Expansion(kind, texts)
    return _expand(state, file, statements, (file,)), state.included, state.diagnostics


def _expand(state: _Expansion, file: str, statements: Sequence[Statement], stack: tuple[str, ...]) -> list[Statement]:
    found: list[Statement] = []
    for statement in statements:
        if statement.directive == "INCLUDE":
            found += _include(state, file, statement.words, stack)
        else:
            found.append(statement)
    return found


def _include(state: _Expansion, file: str, words: Sequence[Word], stack: tuple[str, ...]) -> list[Statement]:
    path, *assignments = words
    target = _find(state.texts, file, path.text)
    if target is None:
        known = [name for name in state.texts if name.endswith(".incl")]
        hint = did_you_mean(path.text, known) or "paths are relative to this file's folder, or to the project's"
        if variable := _VARIABLE.search(path.text):
            hint = f"set {variable[1] or variable[2]} in the environment"
        return state.refuse(f"the file '{path.text}' is not in the project", path, hint)
    if target in stack:
        return state.refuse(f"files include each other: {' -> '.join([*stack, target])}", path, "remove an INCLUDE")
    state.followed += 1
    if state.followed > _MOST:
        return state.refuse(f"more than {_MOST} includes in one file", path, "do files include others many times over?")
    values: dict[str, str] = {}
    for word in assignments:
        name, equals, value = word.text.partition("=")
        if not equals:
            return state.refuse(
                f"'{word.text}' is not NAME=value", word, 'for example: INCLUDE "x.incl" "TOPIC=events"'
            )
        values[name.strip()] = value
    text = _VARIABLE.sub(lambda m: values.get(m[1] or m[2], m[0]), state.texts[target])
    name = target
    if text != state.texts[target]:  # its lines differ from those of the file: show it as a text of its own
        name = f"{target} ({', '.join(f'{k}={v}' for k, v in values.items())})"
    state.included[name] = text
    statements, diagnostics = scan(name, text, state.kind)
    state.diagnostics += diagnostics
    return _expand(state, target, statements, (*stack, target))


def _find(texts: Mapping[str, str], file: str, path: str) -> str | None:
    for folder in (posixpath.dirname(file), ""):
        for ending in ("", ".incl"):
            name = posixpath.normpath(posixpath.join(folder, path + ending)).removeprefix("../")
            if name in texts:
                return name
    return None
