"""Errors that only some calls of a node run into: their severity, and the condition under which they occur."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from clickpipe.compiler.graph import NodeInfo
from clickpipe.compiler.severity import severity
from clickpipe.diagnostics import Diagnostic, Severity

_MOST = 5  # problems to report per node
_MOST_TRIED = 24  # parameters to leave out or add when looking for the deciding ones

Again = Callable[[Mapping[str, str]], str | None]  # returns what is wrong with a node for other values, or None


def of_all_calls(
    info: NodeInfo, problems: Sequence[Diagnostic | None], again: Again, *, strict: bool = False
) -> list[Diagnostic]:
    """Return the diagnostics of a node, given the problem of each of its variants, starting with the simplest call.

    If no variant works, the first problem is reported as it is; otherwise each with the condition under which it
    occurs. `again` returns the node's problem for other values.
    """
    failing = [n for n, problem in enumerate(problems) if problem is not None]
    if len(failing) == len(problems):
        return [p for p in problems if p is not None][:1]
    reported: dict[tuple[str, str, int], tuple[int, Diagnostic]] = {}
    for number in sorted(failing, key=lambda n: len(info.variants[n].values)):
        problem = problems[number]
        assert problem is not None  # noqa: S101 - it is among the failing ones
        found = replace(problem, severity=severity(info, problems, number, strict=strict))
        key = (problem.code, problem.message, problem.span.start)
        if key not in reported or (reported[key][1].severity is Severity.WARNING and found.severity is Severity.ERROR):
            reported[key] = (number, found)
    most = sorted(reported.values(), key=lambda item: item[1].severity is Severity.WARNING)[:_MOST]
    return [
        replace(found, message=f"{found.message}{condition(info, number, set(failing), again)}")
        for number, found in most
    ]


def condition(info: NodeInfo, number: int, alike: Collection[int], again: Again | None = None) -> str:
    """Say when a variant is used, with as few parameters as distinguish it from those that are not `alike`.

    With `again`, only parameters that change the problem count. Returns `, when ...`, or '' if there is nothing to say.
    """
    names = [name for name in info.node.program.conditions() if any(name in v.values for v in info.variants)]
    own = min((info.variants[number].values, *info.variants[number].also), key=len)
    others = [values for n, v in enumerate(info.variants) if n not in alike for values in (v.values, *v.also)]
    if again is not None and len(names) > 1:
        own, names = _deciding(own, names, others, again)

    def distinguished(by: Mapping[str, bool]) -> bool:
        return not any(all(_same(values, own, name, exact=exact) for name, exact in by.items()) for values in others)

    kept = dict.fromkeys(names, True)
    for name in names:
        without = {n: exact for n, exact in kept.items() if n != name}
        if distinguished(without):
            kept = without
        elif distinguished({**kept, name: False}):
            kept[name] = False
    written = info.node.program.source.text
    phrases = [_phrase(name, own.get(name), written, exact=exact) for name, exact in kept.items()]
    return f", when {' and '.join(phrases)}" if phrases else ""


def _deciding(
    own: Mapping[str, str], names: Sequence[str], others: Sequence[Mapping[str, str]], again: Again
) -> tuple[Mapping[str, str], list[str]]:
    """Return the values without those that change nothing, and the parameters that decide."""
    problem = again(own)
    if problem is None:
        return own, list(names)
    kept = dict(own)
    for name in list(own)[:_MOST_TRIED]:
        without = {n: value for n, value in kept.items() if n != name}
        if again(without) == problem:
            kept = without
    deciding = [name for name in names if name in kept]
    for name in [n for n in names if n not in kept][:_MOST_TRIED]:
        value = next((values[name] for values in others if name in values), None)
        if value is not None and again({**kept, name: value}) != problem:
            deciding.append(name)
    return (kept, deciding) if deciding else (own, list(names))


def _same(values: Mapping[str, str], own: Mapping[str, str], name: str, *, exact: bool) -> bool:
    theirs, ours = values.get(name), own.get(name)
    return theirs == ours if exact else (theirs is None) == (ours is None)


def _phrase(name: str, value: str | None, written: str, *, exact: bool) -> str:
    """Describe a parameter's value; one that is not in the author's text is not shown."""
    if value is None:
        return f"`{name}` is not given"
    if not exact:
        return f"`{name}` is given"
    known = re.search(rf"(?<!\w){re.escape(value)}(?!\w)", written)
    return f"`{name}` is '{value}'" if known else f"`{name}` is given another value"
