"""Resolves table names in a project's SQL, and reports those that are unknown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher

from clickpipe.compiler.checker import Checker
from clickpipe.compiler.compose import Tables, is_service, resolve
from clickpipe.compiler.service import DATABASE, SERVICE_SOURCES
from clickpipe.diagnostics import Diagnostic, did_you_mean
from clickpipe.project import Node, Pipe, Project, resource_name
from clickpipe.sql import Syntax, TableReference, Use
from clickpipe.template import Rendered

QUARANTINE_SUFFIX = "_quarantine"
_FEW, _ALIKE = 3, 0.8  # maximum difference in length, and minimum similarity, of a typo
_VERSION = re.compile(r"__?v\d+$")
_NOT_SHARED = frozenset({"system", "information_schema", DATABASE})


class TableNames:
    """Resolves table names in a project's SQL."""

    def __init__(self, project: Project) -> None:
        """Collect the names of data sources, their quarantines, and files that could not be read."""
        self.project = project
        unread = {
            resource_name(f) for f in project.files if f.endswith((".datasource", ".pipe"))
        } - project.pipes.keys()
        bases = project.data_sources.keys() | project.undefined_targets().keys()
        self._tables = unread | bases | {f"{base}{QUARANTINE_SUFFIX}" for base in bases}

    def table(self, reference: TableReference) -> str | None:
        """Return the data source (or quarantine) that a name refers to, or None."""
        name = self.project.canonical(reference.full_name)
        return name if name in self._tables else None

    def on(self, checker: Checker) -> Tables:
        """Return a function that returns the checker's scratch table for a name of the project."""

        def table(name: str) -> str | None:
            known = name in self._tables or name.removeprefix(f"{DATABASE}.") in SERVICE_SOURCES
            return checker.table(name) if known else None

        return table

    def unknown(self, pipe: Pipe, node: Node, rendered: Rendered, syntax: Syntax) -> Iterator[Diagnostic]:
        """Report the unknown names in a rendering."""
        for reference in syntax.tables:
            known = (
                is_service(reference)
                or (not reference.database and resolve(self.project, pipe, node, reference.name) is not None)
                or self.table(reference) is not None
                or reference.use is Use.IN  # it may be a column
            )
            if not known and reference.database.lower() not in _NOT_SHARED:  # the statement check reports those
                yield self._unknown(pipe, node, rendered, reference)

    def _unknown(self, pipe: Pipe, node: Node, rendered: Rendered, reference: TableReference) -> Diagnostic:
        span = rendered.locate(reference.start, reference.end - reference.start)
        if reference.full_name in {node.name, pipe.name}:
            what = "node" if reference.full_name == node.name else "pipe"
            message = f"the {what} '{reference.full_name}' reads itself"
            return Diagnostic("CP2003", message, span, hint="read a data source, a pipe or another node")
        near = [*self.project.data_sources, *self.project.pipes, *(n.name for n in pipe.nodes)]
        near += self.project.names_elsewhere(".datasource", ".pipe")
        meant = did_you_mean(reference.name, near)
        if meant and not reference.database and _is_typo(reference.name, meant):
            hint = meant
            message = f"'{reference.full_name}' is not a data source, a pipe or a node of this pipe"
            return Diagnostic("CP2003", message, span, hint=hint)
        if (other := next((p for p in self.project.pipes.values() if p.node(reference.name)), None)) is not None:
            message = f"'{reference.name}' is a node of the pipe '{other.name}': other pipes cannot read it"
            hint = f"read {other.name}: it returns the node with a TYPE, or its last node"
            return Diagnostic("CP2003", message, span, hint=hint)
        message = f"'{reference.full_name}' is not in the project"
        hint = f"add datasources/{reference.full_name}.datasource with its columns, or a pipe or node of that name"
        return Diagnostic("CP2010", message, span, hint=f"{hint} ({meant})" if meant else hint)


def _is_typo(name: str, hint: str) -> bool:
    """Return whether a name differs from the hint's suggestion by a letter or two, and not by a version."""
    meant = hint.split("'")[1]
    same = SequenceMatcher(None, name, meant).ratio()
    return abs(len(name) - len(meant)) < _FEW and same > _ALIKE and not _VERSION.search(name)
