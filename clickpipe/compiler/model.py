"""The result of compiling a project."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from clickpipe.compiler.checker import CheckFailure, ResultColumn
from clickpipe.compiler.compose import Composer, Tables
from clickpipe.compiler.ddl import fingerprint
from clickpipe.compiler.known import KnownNames
from clickpipe.compiler.names import FileNames
from clickpipe.config import DEFAULT_RULES, ProjectRules
from clickpipe.diagnostics import Diagnostic
from clickpipe.project import DataSource, Pipe, Project
from clickpipe.sql import Composition, Reader
from clickpipe.template import Binder, BoundSQL, Parameter, Secrets, no_secret


@dataclass(frozen=True, slots=True)
class BoundQuery(BoundSQL):
    """SQL with its parameters, and the composition of its text."""

    composed: Composition = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class QueryFunction:
    """An endpoint as a function from parameters to rows."""

    name: str
    description: str
    parameters: tuple[Parameter, ...]
    columns: tuple[ResultColumn, ...]
    _pipe: Pipe
    _project: Project
    _names: KnownNames
    _reader: Reader[CheckFailure]

    def bind(self, **values: Any) -> BoundQuery:
        """Return SQL over the data sources' own names, with the values as query parameters.

        Raises TemplateError (such as MissingParameter, or for a value of the wrong type), or what the pipe's author
        raises with `error()`.
        """
        return self.bind_to(None, values)

    def bind_to(
        self,
        tables: Tables | None,
        values: Mapping[str, Any],
        secret: Secrets = no_secret,
        within: Collection[str] = (),
    ) -> BoundQuery:
        """Return SQL over physical tables; `tables` returns the quoted name for a data source's name.

        `within` is described at `Composer`.
        """
        binder = Binder(self._names.of(self._pipe), secret)
        composed = Composer(self._project, self._reader, tables, within).pipe(self._pipe, values, binder)
        return BoundQuery(composed.text, binder.params, binder.settings, composed=composed)


@dataclass(frozen=True, slots=True)
class MaterializedView:
    """A materialized pipe: rows of `source` pass through the query into `target` as they arrive."""

    name: str
    source: str
    target: str
    pipe: Pipe


@dataclass(frozen=True, slots=True)
class CopyPipe:
    """A copy pipe: run on demand or on `schedule` (cron, UTC); appends its rows to `target`, or replaces them."""

    name: str
    target: str
    schedule: str
    mode: str
    parameters: tuple[Parameter, ...]
    pipe: Pipe


@dataclass(frozen=True, slots=True)
class SinkPipe:
    """A sink that writes files: run on demand or on `schedule` (cron, UTC, '' for none)."""

    name: str
    schedule: str
    pipe: Pipe


@dataclass(frozen=True, slots=True)
class CompiledProject:
    """A checked project: data sources, query functions, views, copies and sinks by name.

    `known_names` are the names that its templates may put into SQL, `reader` parses SQL, `rules` are the rules it was
    checked by; `names` are what each file defines and reads.
    """

    project: Project
    data_sources: Mapping[str, DataSource]
    endpoints: Mapping[str, QueryFunction]
    views: Mapping[str, MaterializedView]
    copies: Mapping[str, CopyPipe]
    diagnostics: tuple[Diagnostic, ...]
    known_names: KnownNames
    reader: Reader[CheckFailure]
    rules: ProjectRules = DEFAULT_RULES
    names: Mapping[str, FileNames] = field(default_factory=dict)
    sinks: Mapping[str, SinkPipe] = field(default_factory=dict)

    def learned(self) -> dict[str, list[ResultColumn]]:
        """Return what only ClickHouse can determine, for `restore_project`: columns of endpoints, derived tables."""
        found = {name: list(endpoint.columns) for name, endpoint in self.endpoints.items()}
        for source in self.data_sources.values():
            if source.derived:
                found[source.name] = [ResultColumn(c.name, c.type) for c in source.columns]
        return found

    def fingerprint(self) -> str:
        """Return a stable hash of all the project's text."""
        texts = self.project.files
        return fingerprint(*(part for file in sorted(texts) for part in (file, texts[file])))
