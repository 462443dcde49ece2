"""What names in a project's SQL may mean, and what is told of those that mean nothing."""

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
_FEW, _ALIKE = 3, 0.8  # letters that two names differ in length by, and how like they are, where one is a typo
_VERSION = re.compile(r"__?v\d+$")
_NOT_SHARED = frozenset({"system", "information_schema", DATABASE})


class TableNames:
    """What names in a project's SQL may mean."""

    def __init__(self, project: Project) -> None:
        """Take the names of data sources, their quarantines, and files that could not be read."""
        self.project = project
        unread = {
            resource_name(f) for f in project.files if f.endswith((".datasource", ".pipe"))
        } - project.pipes.keys()
        bases = project.data_sources.keys() | project.undefined_targets().keys()
        self._tables = unread | bases | {f"{base}{QUARANTINE_SUFFIX}" for base in bases}

    def table(self, reference: TableReference) -> str | None:
        """Return the data source (or quarantine) that a name means, None where it means none."""
        name = self.project.canonical(reference.full_name)
        return name if name in self._tables else None

    def on(self, checker: Checker) -> Tables:
        """Return the scratch tables of a checker, for those names that the project has."""

        def table(name: str) -> str | None:
            known = name in self._tables or name.removeprefix(f"{DATABASE}.") in SERVICE_SOURCES
            return checker.table(name) if known else None

        return table

    def unknown(self, pipe: Pipe, node: Node, rendered: Rendered, syntax: Syntax) -> Iterator[Diagnostic]:
        """Report the names in a rendering that nothing has."""
        for reference in syntax.tables:
            known = (
                is_service(reference)
                or (not reference.database and resolve(self.project, pipe, node, reference.name) is not None)
                or self.table(reference) is not None
                or reference.use is Use.IN  # it may be a column
            )
            if not known and reference.database.lower() not in _NOT_SHARED:  # of those the statement check tells
                yield self._unknown(pipe, rendered, reference)

    def _unknown(self, pipe: Pipe, rendered: Rendered, reference: TableReference) -> Diagnostic:
        span = rendered.locate(reference.start, reference.end - reference.start)
        near = [*self.project.data_sources, *self.project.pipes, *(n.name for n in pipe.nodes)]
        near += self.project.names_elsewhere(".datasource", ".pipe")
        meant = did_you_mean(reference.name, near)
        if meant and not reference.database and _is_typo(reference.name, meant):
            hint = meant
            message = f"'{reference.full_name}' is not a data source, a pipe or a node of this pipe"
            return Diagnostic("CP2003", message, span, hint=hint)
        if (other := next((p for p in self.project.pipes.values() if p.node(reference.name)), None)) is not None:
            message = f"'{reference.name}' is a node of the pipe '{other.name}': other pipes cannot read it"
            hint = f"read {other.name}, which gives its last node or the one with a TYPE"
            return Diagnostic("CP2003", message, span, hint=hint)
        message = f"'{reference.full_name}' is not in the project"
        hint = f"add datasources/{reference.full_name}.datasource with its columns, or a pipe or node of that name"
        return Diagnostic("CP2010", message, span, hint=f"{hint} ({meant})" if meant else hint)


def _is_typo(name: str, hint: str) -> bool:
    """Tell whether a name is the one that `hint` suggests but for a letter or two, not one of another version."""
    meant = hint.split("'")[1]
    same = SequenceMatcher(None, name, meant).ratio()
    return abs(len(name) - len(meant)) < _FEW and same > _ALIKE and not _VERSION.search(name)
