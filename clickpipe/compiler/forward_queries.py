"""Checks FORWARD_QUERYs, as far as possible without the table that they will read."""

from __future__ import annotations

import re
from collections.abc import Iterator

from clickpipe.compiler.checker import Checker, CheckFailure
from clickpipe.compiler.explain import clean
from clickpipe.config import ProjectRules
from clickpipe.diagnostics import Diagnostic, Severity, Span, Word
from clickpipe.project import DataSource, Project
from clickpipe.sql import check, read_tree

_HINT = "write a SELECT of the new columns, without FROM: SELECT * EXCEPT (plan), plan AS user_plan"

# Errors that do not depend on the table's columns.
_WHATEVER_THE_TABLE = frozenset({"UNKNOWN_FUNCTION", "NUMBER_OF_ARGUMENTS_DOESNT_MATCH"})


def check_forward_queries(checker: Checker, project: Project, rules: ProjectRules) -> Iterator[Diagnostic]:
    """Yield what is wrong with FORWARD_QUERYs: not a SELECT, a FROM of its own, columns that the schema does not have.

    One that has done its job may stay when the schema moves on, so unknown names are warnings, unless the project is
    checked strictly. Only at deployment is it known whether the columns that they read exist: in the previous table.
    """
    found = [(s, s.forward_query) for s in project.data_sources.values() if s.forward_query is not None]
    trees = checker.syntax_all([query.text for _, query in found])
    for (source, query), tree in zip(found, trees, strict=True):
        if isinstance(tree, CheckFailure):
            yield _syntax(query, tree)
            continue
        refusal = check(tree, (), settings=False)
        if refusal is not None:
            yield Diagnostic("CP4003", f"FORWARD_QUERY: {refusal.message}", _word(query, refusal.word), hint=_HINT)
            continue
        yield from _columns(checker, source, query, tree, Severity.WARNING if rules.lenient else Severity.ERROR)


def _syntax(query: Word, failure: CheckFailure) -> Diagnostic:
    at = failure.offset or 0
    start = len(query.text.encode()[:at].decode(errors="ignore"))
    end = min(len(query.text), start + 1)
    span = query.span.sub(min(start, end - 1), end) if query.text else query.span
    return Diagnostic("CP4001", f"FORWARD_QUERY cannot be parsed: {_said(failure)}", span, hint=_HINT)


def _columns(checker: Checker, source: DataSource, query: Word, tree: str, severity: Severity) -> Iterator[Diagnostic]:
    selects = read_tree(tree).get("list_of_selects", {}).get("children", [{}])
    if len(selects) > 1 or selects[0].get("tables"):
        message = "FORWARD_QUERY must be a single SELECT without FROM: it always reads the previous table"
        yield Diagnostic("CP4003", message, _word(query, "FROM"), hint=_HINT)
        return
    described = checker.describe(f"{query.text}\nFROM {checker.table(source.name)}", {})
    if isinstance(described, CheckFailure):
        if described.name in _WHATEVER_THE_TABLE:
            named = re.search(r"[`'\u2018](\w+)[`'\u2019]|function (\w+)", described.message)
            place = _word(query, (named[1] or named[2]) if named else "")
            yield Diagnostic("CP4002", f"FORWARD_QUERY: {_said(described)}", place, hint=_HINT)
        return  # it reads columns that only the previous table has
    for column in described:
        if source.column(column.name) is None:
            message = f"FORWARD_QUERY returns '{column.name}', which is not in the schema"
            yield Diagnostic("CP4005", message, _word(query, column.name), severity, _HINT)


def _said(failure: CheckFailure) -> str:
    return clean(failure.message).splitlines()[0][:200]


def _word(query: Word, word: str) -> Span:
    start = query.text.lower().find(word.lower()) if word else -1
    return query.span.sub(start, start + len(word)) if start >= 0 else query.span
