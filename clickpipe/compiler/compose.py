"""Composes nodes, pipes and data sources to one SELECT, by splicing at offsets.

A name in SQL refers to, in this order: a node of the same pipe (other than the node itself), a pipe, a data source or
its quarantine table.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from clickpipe.compiler.service import DATABASE, SERVICE_SOURCES, qualified
from clickpipe.diagnostics import ClickpipeError, UnknownResource, redact
from clickpipe.project import Node, Pipe, Project
from clickpipe.sql import (
    Composition,
    Reader,
    Syntax,
    TableReference,
    Use,
    is_read_apart,
    quote_literal,
    read_apart,
    same_but_final,
    splice,
    table_name,
    without_final,
)
from clickpipe.template import Binder

Tables = Callable[[str], str | None]


@contextmanager
def _without_secrets(binder: Binder) -> Iterator[None]:
    """Remove secrets used by templates from exceptions raised in the block: a name may contain one."""
    try:
        yield
    except ClickpipeError as error:
        if binder.used_secrets:
            error.message = redact(error.message, binder.used_secrets.values(), parts=False)
            error.args = (error.message,)
        raise


class Composer:
    """Composes the SELECT of a pipe or node over tables."""

    def __init__(
        self, project: Project, reader: Reader[Any], tables: Tables | None, within: Collection[str] = ()
    ) -> None:
        """Parse SQL with `reader`; `tables` returns a table's quoted name, or None if it does not exist.

        Without `tables`, data sources keep their names. Those in `within` are read as sub-queries of their own
        everywhere.
        """
        self._within = within
        self._project = project
        self._reader = reader
        self._tables = tables

    def pipe(self, pipe: Pipe, values: Mapping[str, Any], binder: Binder) -> Composition:
        """Return the SQL of what the pipe publishes; its parameters are bound in `binder`."""
        return self.node(pipe, pipe.output, values, binder)

    def node(self, pipe: Pipe, node: Node, values: Mapping[str, Any], binder: Binder) -> Composition:
        """Return the SQL of one node, with everything it reads spliced in."""
        names, binder.names = binder.names, binder.names.inside(pipe.name)
        try:
            text = node.program.render(values, binder)
        finally:
            binder.names = names
        return self.text(text, pipe, node, values, binder)

    def text(
        self,
        sql: str | Syntax,
        pipe: Pipe | None,
        node: Node | None,
        values: Mapping[str, Any],
        binder: Binder,
        apart: Collection[str] | None = None,
    ) -> Composition:
        """Return rendered or parsed SQL with its tables replaced; names are resolved in `pipe` and `node`.

        With `apart` (names of data sources), these and all pipes are read as sub-queries of their own: no condition of
        the SQL is evaluated before their own conditions.

        Raises ClickpipeError for SQL that ClickHouse cannot parse, an unknown table, and a name that would change the
        meaning of a spliced query.
        """
        with _without_secrets(binder):
            syntax = sql if isinstance(sql, Syntax) else self._read(sql)
            return self._replaced(syntax, pipe, node, values, binder, apart)

    def _replaced(
        self,
        syntax: Syntax,
        pipe: Pipe | None,
        node: Node | None,
        values: Mapping[str, Any],
        binder: Binder,
        apart: Collection[str] | None,
    ) -> Composition:
        final: frozenset[TableReference] = frozenset()
        within = () if is_read_apart(syntax.text) else self._within
        if (apart is not None or within) and "final" in syntax.tree:
            syntax, final = self._without_final(syntax)
        found: dict[TableReference, tuple[str, ...] | Composition] = {}
        written: dict[TableReference, str] = {}
        for table in syntax.tables:
            inner = None if table.database or table.use in {Use.TEXT, Use.NAME} else self._node(pipe, node, table)
            if table in final or self._is_apart(table, inner, apart, within):
                around = self.text(read_apart(table, final=table in final), pipe, node, values, binder)
                found[table], written[table] = around, f"(\n{around.text}\n)"
            elif inner is not None:
                composed = self.node(*inner, values, binder)
                _keep_apart(syntax, composed, inner[1])
                found[table], written[table] = composed, f"(\n{composed.text}\n)"
            elif (name := self._table(table)) is not None:
                found[table] = table_name(name)
                written[table] = quote_literal(".".join(table_name(name))) if table.use is Use.TEXT else name
        return Composition(splice(syntax, written.get), syntax, found)

    def _without_final(self, syntax: Syntax) -> tuple[Syntax, frozenset[TableReference]]:
        """Return a statement without FINAL, and the tables that it applied to."""
        text, numbers = without_final(syntax)
        cut = self._read(text)
        if not same_but_final(syntax.tree, cut.tree):
            message = "It is unclear which table FINAL applies to: write it after the table's name."
            raise ClickpipeError(message, code="not_allowed")
        return cut, frozenset(cut.tables[number] for number in numbers)

    def _is_apart(
        self,
        table: TableReference,
        inner: tuple[Pipe, Node] | None,
        apart: Collection[str] | None,
        within: Collection[str],
    ) -> bool:
        if table.use not in {Use.FROM, Use.IN}:
            return False
        if inner is not None:
            return apart is not None
        return self._project.canonical(table.full_name) in {*(apart or ()), *within}

    def _read(self, sql: str) -> Syntax:
        syntax = self._reader.read(sql)
        if not isinstance(syntax, Syntax):
            message = f"[Error] {syntax.message} (SYNTAX_ERROR)"
            raise ClickpipeError(message, code="syntax_error", headers={"X-DB-Exception-Code": "62"})
        if syntax.unplaced:
            message = f"The name of the table '{syntax.unplaced}' cannot be located in this query: rewrite it."
            raise ClickpipeError(message, code="not_allowed")
        return syntax

    def _node(self, pipe: Pipe | None, node: Node | None, table: TableReference) -> tuple[Pipe, Node] | None:
        return resolve(self._project, pipe, node, table.name)

    def _table(self, table: TableReference) -> str | None:
        """Return the quoted name of a data source's table; None to keep the name as it is."""
        if self._tables is None:
            return None
        if table.database and not is_service(table) and table.full_name not in self._project.data_sources:
            return None  # the statement check refuses it
        known = qualified(table.name) if is_service(table) else self._project.canonical(table.full_name)
        name = self._tables(known)
        if name is None and table.use is not Use.IN:  # after IN it may be a column
            names = [("DATASOURCES", source) for source in self._project.data_sources]
            names += [("PIPES", pipe) for pipe in self._project.pipes]
            message = f"Resource '{table.full_name}' not found"
            raise UnknownResource(message, table.full_name, names, status=400, code="not_found")
        return name


def is_service(reference: TableReference) -> bool:
    """Return whether a name is a service data source's."""
    return reference.database == DATABASE and reference.name in SERVICE_SOURCES


def resolve(project: Project, pipe: Pipe | None, node: Node | None, name: str) -> tuple[Pipe, Node] | None:
    """Return the node that a bare name refers to, or None if it is neither a node nor a pipe.

    In SQL about a pipe that is none of its nodes (a caller's own), `_` and the pipe's name refer to what it publishes.
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


def _keep_apart(outer: Syntax, inner: Composition, node: Node) -> None:
    """Refuse a lambda with the name of a function that a spliced query calls: ClickHouse would call the lambda."""
    if outer.lambdas and (names := outer.lambdas & _functions(inner)):
        name = min(names)
        message = f"The lambda '{name}' would replace the function {name}() in '{node.name}': give it another name."
        raise ClickpipeError(message, code="not_allowed")


def _functions(composition: Composition) -> frozenset[str]:
    """Return the functions that a composed query calls."""
    inner: Sequence[Composition] = [t for t in composition.tables.values() if isinstance(t, Composition)]
    return composition.syntax.functions.union(*map(_functions, inner))
