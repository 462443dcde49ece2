"""Builds Pipe resources from `.pipe` trees, by the rules for nodes and types."""

from __future__ import annotations

import re

from clickpipe.datafile import NodeClause, PipeFile, Statement
from clickpipe.diagnostics import Diagnostic, Related, Span, Word
from clickpipe.project.common import description, grants, is_cron, never_comes, tags, version
from clickpipe.project.connectors import sink_options
from clickpipe.project.engine import build_engine
from clickpipe.project.model import Grant, Node, Pipe, PipeKind, TableEngine
from clickpipe.template import compile_template

_KINDS = {
    "endpoint": PipeKind.ENDPOINT,
    "materialized": PipeKind.MATERIALIZED,
    "copy": PipeKind.COPY,
    "sink": PipeKind.SINK,
    "standard": PipeKind.DEFAULT,
}
_TARGETS = {PipeKind.MATERIALIZED: "DATASOURCE", PipeKind.COPY: "TARGET_DATASOURCE"}
_NODE_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


def build_pipe(name: str, tree: PipeFile) -> tuple[Pipe | None, list[Diagnostic]]:
    """Return a file's pipe (None if a node cannot be read), and diagnostics."""
    found, diagnostics = _grants(tree)
    nodes: list[Node] = []
    for clause in tree.nodes:
        node, problems = _node(clause)
        diagnostics += problems
        if node is not None:
            nodes.append(node)
    if not tree.nodes:
        end = max(0, len(tree.text.rstrip()) - 1)
        hint = "add one:\nNODE endpoint\nSQL >\n    SELECT 1\nTYPE endpoint"
        diagnostics.append(Diagnostic("CP1304", "the pipe has no node", Span(tree.file, end, end + 1), hint=hint))
    diagnostics += _same_names(nodes)
    published, problems = _published(tree)
    diagnostics += problems
    output = next((n for n in nodes if published and n.name == published[0].name.text), nodes[-1] if nodes else None)
    if output is None or len(nodes) < len(tree.nodes):
        return None, diagnostics
    kind = published[1] if published else PipeKind.DEFAULT
    statements = {s.directive: s for s in published[0].statements} if published else {}
    target = statements[_TARGETS[kind]].argument if kind in _TARGETS and _TARGETS[kind] in statements else None
    schedule, problems = _schedule(statements.get("COPY_SCHEDULE"))
    diagnostics += problems
    body = published[0].statements if published else ()
    export: dict[str, Word] = {}
    if kind is PipeKind.SINK:
        export, problems = sink_options(body, statements["TYPE"].keyword.span)
        diagnostics += problems
    engine: TableEngine | None = None
    if any(directive.startswith("ENGINE") for directive in statements):
        engine, problems = build_engine(tree.file, body)
        diagnostics += problems
    if engine is not None and target is None and published:  # Classic: the node defines its target itself
        target = Word(f"{name}_data", published[0].name.span)
    mode = statements["COPY_MODE"].argument.text.lower() if "COPY_MODE" in statements else "append"
    head = tree.statements
    pipe = Pipe(
        name,
        tree.file,
        Span(tree.file, 0, 0),
        tuple(nodes),
        output,
        kind,
        description(head),
        _tags(tree),
        tuple(found),
        target,
        schedule,
        mode,
        engine,
        export,
        "DEPLOYMENT_METHOD" in statements,
        version(_all(tree)),
        untyped=not any(s.directive == "TYPE" for s in _all(tree)),
    )
    return pipe, diagnostics


def _all(tree: PipeFile) -> list[Statement]:
    return [*tree.statements, *(s for node in tree.nodes for s in node.statements)]


def _grants(tree: PipeFile) -> tuple[list[Grant], list[Diagnostic]]:
    return grants(_all(tree), ("READ",))


def _tags(tree: PipeFile) -> tuple[str, ...]:
    return tags(_all(tree))


def _node(clause: NodeClause) -> tuple[Node | None, list[Diagnostic]]:
    name = clause.name
    if not _NODE_NAME.match(name.text):
        hint = "a node's name has letters, digits and _ only"
        return None, [Diagnostic("CP2002", f"'{name.text}' cannot be a name", name.span, hint=hint)]
    sql = next((s.block for s in clause.statements if s.directive == "SQL" and s.block), None)
    if sql is None:
        hint = "add a block after NODE:\nSQL >\n    SELECT ..."
        return None, [Diagnostic("CP1301", f"node '{name.text}' has no SQL", name.span, hint=hint)]
    program, diagnostics = compile_template(_trim(sql))
    if program is None:
        return None, diagnostics
    return Node(name.text, name.span, program, description(clause.statements)), diagnostics


def _trim(sql: Word) -> Word:
    """Strip white space around the SQL and a final `;`."""
    start = len(sql.text) - len(sql.text.lstrip())
    end = len(sql.text.rstrip())
    while end > start and sql.text[end - 1] in "; \t\n":
        end -= 1
    return Word(sql.text[start:end], sql.span.sub(start, end))


def _same_names(nodes: list[Node]) -> list[Diagnostic]:
    seen: dict[str, Node] = {}
    found = []
    for node in nodes:
        first = seen.setdefault(node.name, node)
        if first is not node:
            related = (Related("first defined here", first.span),)
            message = f"the node name '{node.name}' is used twice"
            found.append(Diagnostic("CP2001", message, node.span, related=related, hint="rename one of the nodes"))
    return found


def _published(tree: PipeFile) -> tuple[tuple[NodeClause, PipeKind] | None, list[Diagnostic]]:
    """Return the node with a TYPE and its kind, and diagnostics about it."""
    typed: list[tuple[NodeClause, PipeKind, Statement]] = []
    for node in tree.nodes:
        statement = next((s for s in node.statements if s.directive == "TYPE"), None)
        if statement is not None and (kind := _KINDS[statement.argument.text.lower()]) is not PipeKind.DEFAULT:
            typed.append((node, kind, statement))
    if not typed:
        return None, []
    node, kind, statement = typed[0]
    diagnostics = []
    for _, _, other in typed[1:]:
        related = (Related("the first one", statement.keyword.span),)
        message = "Multiple non-standard nodes in pipe. There can only be one"
        hint = "move one of the nodes to another pipe"
        diagnostics.append(Diagnostic("CP1302", message, other.keyword.span, related=related, hint=hint))
    needed = _TARGETS.get(kind)
    given = {s.directive for s in node.statements}
    if needed and needed not in given and not (kind is PipeKind.MATERIALIZED and "ENGINE" in given):
        message = f"TYPE {kind.value} needs {needed}"
        hint = f"add {needed} <data source> after TYPE"
        diagnostics.append(Diagnostic("CP1303", message, statement.keyword.span, hint=hint))
    return (node, kind), diagnostics


def _schedule(statement: Statement | None) -> tuple[str, list[Diagnostic]]:
    """Return the cron expression of COPY_SCHEDULE ('' for on demand), and diagnostics."""
    if statement is None or statement.argument.text.lower() == "@on-demand":
        return "", []
    text = statement.argument.text
    readable = is_cron(text)
    if readable and not never_comes(text):
        return text, []
    hint = 'write a cron expression (UTC) such as "0 1 * * *", or @on-demand'
    message = f"COPY_SCHEDULE '{text}' {'never runs' if readable else 'is not a valid schedule'}"
    return "", [Diagnostic("CP1305", message, statement.argument.span, hint=hint)]
