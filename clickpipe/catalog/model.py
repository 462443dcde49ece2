"""What the catalog holds, as frozen data."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from clickpipe.compiler import CompiledProject, ResultColumn

_NOTES = frozenset({"appending", "behind", "complete", "decided", "tables", "target", "token"})


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace. Its id also names its ClickHouse database.

    A preview has a `parent`, the id of the workspace that it was made from. `expires_at` is when it is removed (Unix
    time in seconds; 0: never).
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
    """The status of a deployment, with the names that published clients poll for."""

    CALCULATING = "calculating"
    CREATING_SCHEMA = "creating_schema"
    SCHEMA_READY = "schema_ready"
    DATA_READY = "data_ready"
    FAILED = "failed"
    DELETING = "deleting"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Physical:
    """Where a deployment's data is in its workspace's database, as recorded when it was created.

    `tables` maps data source names (and `<name>_quarantine`) to quoted physical tables; `objects` are the bare names of
    all tables and views that it uses.
    """

    tables: Mapping[str, str]
    objects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment: its project's files, the endpoints' columns as checked, and its summary."""

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

    `filters` are SQL conditions on the rows that it may read, by data source; `fixed_params` are parameter values that
    its requests cannot change, by pipe. `limits` bounds its requests per second (`rps`) and each of its queries.
    `expires_at` is a Unix time in seconds; 0 is never. `origin` is default, datafile, api, or jwt (which is not stored
    in the catalog); `signed` is a digest of the part of a JWT that its signature covers.
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
        """Return what identifies the token. JWTs may share a name, so each is identified by its digest."""
        return self.signed or self.id

    @property
    def reader(self) -> Hashable:
        """Return the key for results held for this token: its identity and all its rights."""
        rights = (self.filters, self.fixed_params, self.limits)
        return self.workspace_id, self.maker, self.value, self.scopes, json.dumps(rights, sort_keys=True)

    @property
    def is_limited(self) -> bool:
        """Return whether the token may read only some rows of a data source or pipe."""
        return bool(self.filters or self.fixed_params)


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret of a workspace, without its value."""

    name: str
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class Job:
    """A long-running piece of work, with the field names of the jobs API; `parameters` can start it again.

    `maker` has the `Token.maker` of each of its requesters, separated by spaces; '' for the server itself.
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

    def is_made_by(self, token: Token) -> bool:
        """Return whether this token asked for the job."""
        return token.maker in self.maker.split()

    @property
    def told(self) -> dict[str, Any]:
        """Return the public part of its result, without notes for resuming it, such as physical tables."""
        return {key: value for key, value in self.result.items() if key not in _NOTES}


@dataclass(frozen=True, slots=True)
class Live:
    """A live deployment: a compiled project, its physical tables, and its service data sources.

    Immutable: promotion replaces the whole object, and running queries keep theirs.
    """

    deployment_id: int
    compiled: CompiledProject
    physical: Physical
    service: Mapping[str, str] = field(default_factory=dict)
    _ingestible: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compute once what is needed for every event."""
        found = frozenset(name for name, source in self.compiled.data_sources.items() if source.ingestible)
        object.__setattr__(self, "_ingestible", found)

    def table(self, name: str) -> str | None:
        """Return the quoted physical table for a name in SQL, or None."""
        return self.physical.tables.get(name) or self.service.get(name)

    def source_of(self, table: str) -> str:
        """Return the data source whose permissions apply to a table: for a quarantine, the one that it belongs to."""
        return table if table in self.compiled.data_sources else table.removesuffix("_quarantine")

    def takes_events(self, name: str) -> bool:
        """Return whether `name` is a data source that accepts events."""
        return name in self._ingestible

    def ingestible(self) -> list[str]:
        """Return the data sources that accept events."""
        return [name for name in self.compiled.data_sources if name in self._ingestible]
