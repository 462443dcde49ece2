"""Parses one datafile to a syntax tree, with diagnostics of everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from clickpipe.datafile.directives import DIRECTIVES
from clickpipe.datafile.include import expand_includes
from clickpipe.datafile.scanner import scan
from clickpipe.datafile.schema import parse_schema
from clickpipe.datafile.syntax import (
    ColumnDef,
    ConnectionFile,
    Datafile,
    DataSourceFile,
    Kind,
    NodeClause,
    PipeFile,
    Statement,
)
from clickpipe.diagnostics import Diagnostic, Related, Severity

_BEFORE_NODES = {"DESCRIPTION", "TAGS", "TOKEN", "VERSION", "CACHE"}


def parse_datafile(file: str, text: str, texts: Mapping[str, str] | None = None) -> tuple[Datafile, list[Diagnostic]]:
    """Parse a datafile of the kind given by its extension (`.datasource`, `.pipe`, `.connection`).

    `file` is the path shown in diagnostics; `texts` are the project's files by path, for INCLUDE. Returns the tree of
    what could be parsed, and all diagnostics. Raises ValueError for another extension.
    """
    kind = Kind(file.rsplit(".", 1)[-1])
    statements, diagnostics = scan(file, text, kind)
    statements, included, problems = expand_includes(file, statements, kind, texts or {})
    diagnostics += problems
    if kind is Kind.PIPE:
        head, nodes = _nodes(statements, diagnostics)
        return PipeFile(file, text, head, nodes, included), diagnostics
    statements = _last_of_each(statements, kind, diagnostics)
    if kind is Kind.CONNECTION:
        return ConnectionFile(file, text, tuple(statements), included), diagnostics
    columns = _columns(statements, diagnostics)
    return DataSourceFile(file, text, tuple(statements), columns, included), diagnostics


def _columns(statements: Sequence[Statement], diagnostics: list[Diagnostic]) -> tuple[ColumnDef, ...] | None:
    for statement in statements:
        if statement.directive == "SCHEMA" and statement.block is not None:
            found, problems = parse_schema(statement.block)
            diagnostics += problems
            return tuple(found)
    return None


def _nodes(
    statements: Sequence[Statement], diagnostics: list[Diagnostic]
) -> tuple[tuple[Statement, ...], tuple[NodeClause, ...]]:
    """Split a pipe's statements into those before the first NODE and those of each node."""
    head: list[Statement] = []
    nodes: list[tuple[Statement, list[Statement]]] = []
    early: list[Statement] = []
    for statement in statements:
        if statement.directive == "NODE":
            nodes.append((statement, []))
        elif nodes:
            nodes[-1][1].append(statement)
        elif statement.directive in _BEFORE_NODES:
            head.append(statement)
        else:
            early.append(statement)
    is_told = any(diagnostic.message.startswith("NODE ") for diagnostic in diagnostics)  # it needs a value
    for statement in () if is_told else early[:1]:  # the others are the same mistake
        message = f"{statement.directive} must be called after a NODE command"
        diagnostics.append(Diagnostic("CP1002", message, statement.keyword.span, hint="put NODE name before it"))
    kept = _last_of_each(head, Kind.PIPE, diagnostics)
    clauses = [(node, _last_of_each(body, Kind.PIPE, diagnostics, once={"SQL"})) for node, body in nodes]
    return tuple(kept), tuple(NodeClause(node.argument, tuple(body)) for node, body in clauses)


def _last_of_each(
    statements: Sequence[Statement], kind: Kind, diagnostics: list[Diagnostic], once: Collection[str] = ()
) -> list[Statement]:
    """Keep the last statement of each directive that may be given only once (`once`: further ones); warn of others."""
    last: dict[str, Statement] = {}
    for statement in statements:
        name = statement.directive
        if DIRECTIVES[kind][name].repeats and name not in once:
            continue
        if (first := last.get(name)) is not None:
            related = (Related("this one is ignored", first.keyword.span),)
            message = f"{name} is given twice: the last one is used"
            place = statement.keyword.span
            diagnostics.append(Diagnostic("CP1006", message, place, Severity.WARNING, "keep one of them", related))
        last[name] = statement
    return [s for s in statements if last.get(s.directive, s) is s]
