"""Nodes, pipes and data sources put together into one SELECT, by splicing at offsets.

A name in SQL means, in this order: a node of the same pipe (not the node itself), a pipe, a data
source or its quarantine table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from clickpipe.compiler.service import DATABASE, SERVICE_SOURCES, qualified
from clickpipe.project import Node, Pipe, Project
from clickpipe.sql import TableReference, splice
from clickpipe.template import Binder


class Composer:
    """Writes the SELECT of a pipe or node over the tables that `table` names (None: keep the name)."""

    def __init__(self, project: Project, table: Callable[[str], str | None]) -> None:
        """Keep the project and the naming; a Composer holds no other state."""
        self._project = project
        self._table = table

    def pipe(self, pipe: Pipe, values: Mapping[str, Any], binder: Binder) -> str:
        """Return the SQL of what the pipe publishes, its parameters bound in `binder`."""
        return self.node(pipe, pipe.output, values, binder)

    def node(self, pipe: Pipe, node: Node, values: Mapping[str, Any], binder: Binder) -> str:
        """Return the SQL of one node with all it reads spliced in."""
        return self.text(node.program.render(values, binder), pipe, node, values, binder)

    def text(self, sql: str, pipe: Pipe | None, node: Node | None, values: Mapping[str, Any], binder: Binder) -> str:
        """Return rendered SQL with its table names replaced; `pipe` and `node` give the scope."""

        def replace(reference: TableReference) -> str | None:
            if reference.database:
                return self._table(qualified(reference.name)) if is_service(reference) else None
            found = resolve(self._project, pipe, node, reference.name)
            if found is None:
                return self._table(self._project.canonical(reference.name))
            return f"(\n{self.node(*found, values, binder)}\n)"

        return splice(sql, replace)


def is_service(reference: TableReference) -> bool:
    """Tell whether a name is that of a service data source."""
    return reference.database == DATABASE and reference.name in SERVICE_SOURCES


def resolve(project: Project, pipe: Pipe | None, node: Node | None, name: str) -> tuple[Pipe, Node] | None:
    """Return the node that a bare name means, or None when it is not a node or pipe.

    In SQL about a pipe that is none of its nodes (a caller's own), `_` and the pipe's name mean what it publishes.
    """
    if pipe is not None and node is None and name in {"_", pipe.name}:
        return pipe, pipe.output
    if pipe is not None:
        own = pipe.node(name)
        if own is not None and own is not node:
            return pipe, own
    other = project.pipes.get(project.canonical(name))
    if other is not None and (pipe is None or other.name != pipe.name):
        return other, other.output
    return None
