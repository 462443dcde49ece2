"""Which findings about a node are errors: the one rule, docs/diagnostics.md#errors-and-warnings.

An error is what makes a resource unusable however it is called, and what its simplest call meets: no optional
parameter given, each required one with a value that fits. All else is a warning.
"""

from __future__ import annotations

from collections.abc import Sequence

from clickpipe.compiler.graph import NodeInfo
from clickpipe.diagnostics import Diagnostic, Severity


def severity(info: NodeInfo, problems: Sequence[Diagnostic | None], number: int, *, strict: bool) -> Severity:
    """Return how bad it is that one variant of a node has a problem, given what is wrong with each.

    With `strict` (`broken_branches = "error"`), a branch that works in no rendering is an error too.
    """
    problem = problems[number]
    if problem is None or problem.severity is Severity.WARNING:
        return Severity.WARNING
    if number == 0 or all(p is not None for p in problems):
        return Severity.ERROR
    working = frozenset[int]().union(*(v.stretches for n, v in enumerate(info.variants) if problems[n] is None))
    return Severity.ERROR if strict and not info.variants[number].stretches <= working else Severity.WARNING
