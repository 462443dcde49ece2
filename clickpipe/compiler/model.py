"""What a project compiles to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from clickpipe.compiler.compose import Composer
from clickpipe.compiler.ddl import fingerprint
from clickpipe.compiler.known import KnownNames
from clickpipe.compiler.names import FileNames
from clickpipe.config import STRICT, ProjectRules
from clickpipe.diagnostics import Diagnostic
from clickpipe.project import DataSource, Pipe, Project
from clickpipe.template import Binder, BoundSQL, Parameter, Secrets, no_secret


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """A column that a query function returns: name and ClickHouse type."""

    name: str
    type: str


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

    def bind(self, **values: Any) -> BoundSQL:
        """Return SQL over the data sources' own names, with the values as query parameters.

        Raises TemplateError (MissingParameter, a value that is not of its type) or what the pipe's
        author raises with `error()`.
        """
        return self.bind_to(lambda _: None, values)

    def bind_to(
        self, table: Callable[[str], str | None], values: Mapping[str, Any], secret: Secrets = no_secret
    ) -> BoundSQL:
        """Return SQL over physical tables; `table` gives the quoted name for a data source's name."""
        binder = Binder(self._names, secret)
        text = Composer(self._project, table).pipe(self._pipe, values, binder)
        return BoundSQL(text, binder.params, binder.settings)


@dataclass(frozen=True, slots=True)
class MaterializedView:
    """A materialized pipe: rows of `source`, as they arrive, go through the query into `target`."""

    name: str
    source: str
    target: str
    pipe: Pipe


@dataclass(frozen=True, slots=True)
class CopyPipe:
    """A copy pipe: run on demand or by `schedule` (cron, UTC), its rows append to or replace `target`."""

    name: str
    target: str
    schedule: str
    mode: str
    parameters: tuple[Parameter, ...]
    pipe: Pipe


@dataclass(frozen=True, slots=True)
class CompiledProject:
    """A project that was checked: data sources, query functions, views and copies by name.

    `known_names` are what its templates may put into SQL, `rules` what it is held to; `names` tells of each file what
    it defines and reads.
    """

    project: Project
    data_sources: Mapping[str, DataSource]
    endpoints: Mapping[str, QueryFunction]
    views: Mapping[str, MaterializedView]
    copies: Mapping[str, CopyPipe]
    diagnostics: tuple[Diagnostic, ...]
    known_names: KnownNames
    rules: ProjectRules = STRICT
    names: Mapping[str, FileNames] = field(default_factory=dict)

    def learned(self) -> dict[str, list[ResultColumn]]:
        """Return what only ClickHouse could tell, for `restore_project`: columns of endpoints and derived tables."""
        found = {name: list(endpoint.columns) for name, endpoint in self.endpoints.items()}
        for source in self.data_sources.values():
            if source.derived:
                found[source.name] = [ResultColumn(c.name, c.type) for c in source.columns]
        return found

    def fingerprint(self) -> str:
        """Return a stable name for the project's whole text."""
        texts = self.project.files
        return fingerprint(*(part for file in sorted(texts) for part in (file, texts[file])))


@dataclass(frozen=True, slots=True)
class CheckFailure:
    """What ClickHouse said against a statement: its error's name, the message, the byte offset if known."""

    name: str
    message: str
    offset: int | None = None


class Checker(Protocol):
    """ClickHouse's analyzer on empty tables; every method returns a failure instead of raising."""

    def create(self, ddl: str) -> CheckFailure | None:
        """Run a CREATE TABLE in the scratch database."""
        ...

    def table(self, name: str) -> str:
        """Return the quoted name of a scratch table."""
        ...

    def syntax(self, sql: str) -> str | CheckFailure:
        """Return the syntax tree of a statement, as `clickpipe.sql.check` reads it."""
        ...

    def describe(self, sql: str, params: Mapping[str, Any]) -> list[ResultColumn] | CheckFailure:
        """Return the columns a SELECT gives."""
        ...

    def create_all(self, statements: Sequence[str]) -> list[CheckFailure | None]:
        """Run several CREATE TABLEs."""
        ...

    def syntax_all(self, statements: Sequence[str]) -> list[str | CheckFailure]:
        """Return what `syntax` does for each statement."""
        ...

    def describe_all(
        self, statements: Sequence[tuple[str, Mapping[str, Any]]]
    ) -> list[list[ResultColumn] | CheckFailure]:
        """Return what `describe` does for each SELECT."""
        ...

    def refusals(self, statements: Sequence[tuple[str, Mapping[str, Any]]]) -> list[CheckFailure | None]:
        """Return the failure that `describe` gives for each SELECT, or None: faster, where columns do not matter."""
        ...
