"""One datafile: text to syntax tree, with everything that is wrong in it."""

from __future__ import annotations

from clickpipe.datafile.directives import DIRECTIVES
from clickpipe.datafile.scanner import scan
from clickpipe.datafile.schema import parse_schema
from clickpipe.datafile.syntax import ColumnDef, Datafile, DataSourceFile, Kind, NodeClause, PipeFile, Statement
from clickpipe.diagnostics import Diagnostic, Related


def parse_datafile(file: str, text: str) -> tuple[Datafile, list[Diagnostic]]:
    """Parse a datafile by its ending (`.datasource`, `.pipe`).

    `file` is the path shown in diagnostics. Returns the tree (of what could be read) and all
    diagnostics; raises ValueError for another ending.
    """
    kind = Kind(file.rsplit(".", 1)[-1])
    statements, diagnostics = scan(file, text, kind)
    if kind is Kind.PIPE:
        return _pipe(file, text, statements, diagnostics)
    return _data_source(file, text, statements, diagnostics)


def _data_source(
    file: str, text: str, statements: list[Statement], diagnostics: list[Diagnostic]
) -> tuple[DataSourceFile, list[Diagnostic]]:
    diagnostics += _repeated(statements, Kind.DATASOURCE)
    columns: tuple[ColumnDef, ...] | None = None
    for statement in statements:
        if statement.directive == "SCHEMA" and statement.block is not None and columns is None:
            found, problems = parse_schema(statement.block)
            columns = tuple(found)
            diagnostics += problems
    return DataSourceFile(file, text, tuple(statements), columns), diagnostics


def _pipe(
    file: str, text: str, statements: list[Statement], diagnostics: list[Diagnostic]
) -> tuple[PipeFile, list[Diagnostic]]:
    head: list[Statement] = []
    nodes: list[tuple[Statement, list[Statement]]] = []
    for statement in statements:
        if statement.directive == "NODE":
            nodes.append((statement, []))
        elif nodes:
            nodes[-1][1].append(statement)
        elif statement.directive == "SQL":
            hint = "put NODE name before it"
            diagnostics.append(
                Diagnostic("CP1002", "SQL must be called after a NODE command", statement.keyword.span, hint=hint)
            )
        else:
            head.append(statement)
    diagnostics += _repeated(head, Kind.PIPE)
    for _, body in nodes:
        diagnostics += _repeated(body, Kind.PIPE, once={"SQL"})
    clauses = tuple(NodeClause(node.argument, tuple(body)) for node, body in nodes)
    return PipeFile(file, text, tuple(head), clauses), diagnostics


def _repeated(statements: list[Statement], kind: Kind, once: set[str] | None = None) -> list[Diagnostic]:
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
