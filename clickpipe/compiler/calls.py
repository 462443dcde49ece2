"""What is wrong with some calls of a node only: which branch it is, and when it is taken."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from clickpipe.compiler.graph import NodeInfo
from clickpipe.diagnostics import Diagnostic, Severity

_MOST = 5  # problems told of one node


def of_all_calls(info: NodeInfo, problems: Sequence[Diagnostic | None], *, lenient: bool = False) -> list[Diagnostic]:
    """Return what to tell of a node, given what is wrong with each of its variants.

    A branch that works in no variant is an error, told with the condition that leads to it; a combination of branches
    that work otherwise is a warning, and when `lenient` so is such a branch. Where no variant works, the first problem
    is told as it is.
    """
    failing = [n for n, problem in enumerate(problems) if problem is not None]
    if len(failing) == len(problems):
        return [p for p in problems if p is not None][:1]
    working = frozenset[int]().union(*(v.stretches for n, v in enumerate(info.variants) if problems[n] is None))
    told: dict[tuple[str, str, int], Diagnostic] = {}
    for number in sorted(failing, key=lambda n: len(info.variants[n].values)):
        problem = problems[number]
        assert problem is not None  # noqa: S101 - it is among the failing
        seen = lenient or info.variants[number].stretches <= working
        severity = Severity.WARNING if seen else problem.severity
        when = condition(info, number, set(failing))
        key = (problem.code, problem.message, problem.span.start)
        if key not in told or (told[key].severity is Severity.WARNING and severity is Severity.ERROR):
            told[key] = replace(problem, message=f"{problem.message}{when}", severity=severity)
    return sorted(told.values(), key=lambda d: d.severity is Severity.WARNING)[:_MOST]


def condition(info: NodeInfo, number: int, alike: Collection[int]) -> str:
    """Say when a variant is taken: with as few parameters as tell it from those that are not `alike`.

    Returns `, when ...`, or nothing where there is nothing to tell.
    """
    names = [name for name in info.node.program.conditions() if any(name in v.values for v in info.variants)]
    own = min((info.variants[number].values, *info.variants[number].also), key=len)
    others = [values for n, v in enumerate(info.variants) if n not in alike for values in (v.values, *v.also)]

    def told_apart(by: Mapping[str, bool]) -> bool:
        return not any(all(_same(values, own, name, exact=exact) for name, exact in by.items()) for values in others)

    kept = dict.fromkeys(names, True)
    for name in names:
        without = {n: exact for n, exact in kept.items() if n != name}
        if told_apart(without):
            kept = without
        elif told_apart({**kept, name: False}):
            kept[name] = False
    phrases = [_phrase(name, own.get(name), exact=exact) for name, exact in kept.items()]
    return f", when {' and '.join(phrases)}" if phrases else ""


def _same(values: Mapping[str, str], own: Mapping[str, str], name: str, *, exact: bool) -> bool:
    theirs, ours = values.get(name), own.get(name)
    return theirs == ours if exact else (theirs is None) == (ours is None)


def _phrase(name: str, value: str | None, *, exact: bool) -> str:
    if value is None:
        return f"`{name}` is not given"
    return f"`{name}` is '{value}'" if exact else f"`{name}` is given"
