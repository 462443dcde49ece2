"""Which problems of a node are errors; see docs/diagnostics.md#errors-and-warnings.

An error is a problem that makes a resource unusable however it is called, or that its simplest call meets: no optional
parameters, and a valid value for each required one. Anything else is a warning.
"""

from __future__ import annotations

from collections.abc import Sequence

from clickpipe.compiler.graph import NodeInfo
from clickpipe.diagnostics import Diagnostic, Severity


def severity(info: NodeInfo, problems: Sequence[Diagnostic | None], number: int, *, strict: bool) -> Severity:
    """Return the severity of one variant's problem, given the problems of all variants of a node.

    With `strict` (`broken_branches = "error"`), a branch that works in no rendering is an error, too.
    """
    problem = problems[number]
    if problem is None or problem.severity is Severity.WARNING:
        return Severity.WARNING
    if number == 0 or all(p is not None for p in problems):
        return Severity.ERROR
    working = frozenset[int]().union(*(v.stretches for n, v in enumerate(info.variants) if problems[n] is None))
    return Severity.ERROR if strict and not info.variants[number].stretches <= working else Severity.WARNING
