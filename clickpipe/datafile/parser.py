"""One datafile: text to syntax tree, with everything that is wrong in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
from clickpipe.diagnostics import Diagnostic, Related

_BEFORE_NODES = {"DESCRIPTION", "TAGS", "TOKEN", "VERSION", "CACHE"}


def parse_datafile(file: str, text: str, texts: Mapping[str, str] | None = None) -> tuple[Datafile, list[Diagnostic]]:
    """Parse a datafile by its ending (`.datasource`, `.pipe`, `.connection`).

    `file` is the path shown in diagnostics, `texts` are the project's files, for INCLUDE. Returns the tree
    (of what could be read) and all diagnostics; raises ValueError for another ending.
    """
    kind = Kind(file.rsplit(".", 1)[-1])
    statements, diagnostics = scan(file, text, kind)
    statements, included, problems = expand_includes(file, statements, kind, texts or {})
    diagnostics += problems
    if kind is Kind.PIPE:
        head, nodes = _nodes(statements, diagnostics)
        return PipeFile(file, text, head, nodes, included), diagnostics
    diagnostics += _repeated(statements, kind)
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
    for statement in statements:
        if statement.directive == "NODE":
            nodes.append((statement, []))
        elif nodes:
            nodes[-1][1].append(statement)
        elif statement.directive in _BEFORE_NODES:
            head.append(statement)
        else:
            message = f"{statement.directive} must be called after a NODE command"
            diagnostics.append(Diagnostic("CP1002", message, statement.keyword.span, hint="put NODE name before it"))
    diagnostics += _repeated(head, Kind.PIPE)
    for _, body in nodes:
        diagnostics += _repeated(body, Kind.PIPE, once={"SQL"})
    return tuple(head), tuple(NodeClause(node.argument, tuple(body)) for node, body in nodes)


def _repeated(statements: Sequence[Statement], kind: Kind, once: set[str] | None = None) -> list[Diagnostic]:
    """Find directives given twice that may be given once (`once` names more of them)."""
    seen: dict[str, Statement] = {}
    found = []
    for statement in statements:
        name = statement.directive
        if DIRECTIVES[kind][name].repeats and name not in (once or set()):
            continue
        first = seen.setdefault(name, statement)
        if first is not statement:
            related = (Related("first given here", first.keyword.span),)
            message = f"{name} is given twice"
            found.append(
                Diagnostic("CP1006", message, statement.keyword.span, related=related, hint="keep one of them")
            )
    return found
