"""What the catalog holds, as frozen data."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from clickpipe.compiler import CompiledProject, ResultColumn

_NOTES = frozenset({"appending", "behind", "decided", "tables", "target", "token"})


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace: its id also names its ClickHouse database.

    A preview has a `parent`, the id of the workspace that it was made of. `expires_at` is when it is removed (seconds
    since 1970; 0: never).
    """

    id: str
    name: str
    created_at: str
    parent: str = ""
    expires_at: float = 0.0

    @property
    def database(self) -> str:
        """Return the ClickHouse database that holds its tables."""
        return f"ws_{self.id}"


class DeploymentStatus(StrEnum):
    """The life of a deployment, as published clients poll it."""

    CALCULATING = "calculating"
    CREATING_SCHEMA = "creating_schema"
    SCHEMA_READY = "schema_ready"
    DATA_READY = "data_ready"
    FAILED = "failed"
    DELETING = "deleting"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Physical:
    """Where a deployment's data lies in its workspace's database, as it was laid out when it was made.

    `tables` maps the name of a data source (and `<name>_quarantine`) to its quoted physical table; `objects` are the
    bare names of all tables and views it uses.
    """

    tables: Mapping[str, str]
    objects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment: its project's files, the endpoints' columns found when it was checked, its summary."""

    id: int
    status: DeploymentStatus
    live: bool
    created_at: str
    files: Mapping[str, str] = field(repr=False)
    columns: Mapping[str, list[ResultColumn]] = field(repr=False)
    summary: Mapping[str, Any] = field(repr=False)
    physical: Physical = field(repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """A token and what it may do; `scopes` are texts such as `PIPES:READ:top_pages`.

    `filters` are the rows (a SQL condition) that it may read of a data source, `fixed_params` the values of parameters
    that no request of it changes, by pipe. `limits` bound its requests a second (`rps`) and each of its queries,
    `expires_at` (seconds since 1970) its life; 0 is no bound. `origin` is default, datafile, api, or jwt (which no
    catalog holds); `signed` is a digest of what a JWT's signature covers.
    """

    id: str
    workspace_id: str
    name: str
    value: str = field(repr=False)
    scopes: tuple[str, ...]
    origin: str
    created_at: str
    filters: Mapping[str, str] = field(default_factory=dict)
    fixed_params: Mapping[str, Mapping[str, str | list[str]]] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    expires_at: float = 0.0
    signed: str = ""

    @property
    def maker(self) -> str:
        """Return what identifies the token: JWTs may share a name, and each is a token of its own."""
        return self.signed or self.id

    @property
    def reader(self) -> Hashable:
        """Return the key under which results are held for this token: who it is, and all that it may read."""
        rights = (self.filters, self.fixed_params, self.limits)
        return self.workspace_id, self.maker, self.value, self.scopes, json.dumps(rights, sort_keys=True)

    @property
    def is_limited(self) -> bool:
        """Tell whether it may read some rows of a data source or a pipe only."""
        return bool(self.filters or self.fixed_params)


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret of a workspace, without its value."""

    name: str
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work that takes long, by the names the jobs API uses; `parameters` are what starts it again.

    `maker` is the `Token.maker` of who asked for it, '' for the server itself.
    """

    id: str
    workspace_id: str
    kind: str
    status: str
    resource: str
    created_at: str
    updated_at: str
    error: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    maker: str = ""

    @property
    def told(self) -> dict[str, Any]:
        """Return of its result what is told: not the physical tables that a copy notes, to go on with after a stop."""
        return {key: value for key, value in self.result.items() if key not in _NOTES}


@dataclass(frozen=True, slots=True)
class Live:
    """What a workspace answers from: a compiled project, where its data lies, and its service data sources.

    Immutable: promotion replaces the whole object, queries under way keep theirs.
    """

    deployment_id: int
    compiled: CompiledProject
    physical: Physical
    service: Mapping[str, str] = field(default_factory=dict)
    _ingestible: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Find once what is asked for each event."""
        found = frozenset(name for name, source in self.compiled.data_sources.items() if source.ingestible)
        object.__setattr__(self, "_ingestible", found)

    def table(self, name: str) -> str | None:
        """Return the quoted physical table of a name in SQL, or None."""
        return self.physical.tables.get(name) or self.service.get(name)

    def source_of(self, table: str) -> str:
        """Return the data source whose rights count for a table's name: of a quarantine the one that it belongs to."""
        return table if table in self.compiled.data_sources else table.removesuffix("_quarantine")

    def takes_events(self, name: str) -> bool:
        """Tell whether there is a data source of this name that events can be sent to."""
        return name in self._ingestible

    def ingestible(self) -> list[str]:
        """Return the data sources that events can be sent to."""
        return [name for name in self.compiled.data_sources if name in self._ingestible]
