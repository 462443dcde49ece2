"""The resources of a project: data sources, pipes, nodes. Frozen data with source positions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from clickpipe.diagnostics import Diagnostic, Sources, Span, Word
from clickpipe.project.filenames import resource_name
from clickpipe.template import TemplateProgram


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a data source. `type` is the ClickHouse type as written."""

    name: str
    type: str
    nullable: bool
    span: Span
    jsonpath: str | None = None
    default: Word | None = None
    codec: str | None = None


@dataclass(frozen=True, slots=True)
class TableEngine:
    """The ENGINE of a data source with its ENGINE_* values, as written."""

    name: Word
    options: Mapping[str, Word]

    def option(self, name: str) -> str:
        """Return `ENGINE_<name>` as text, or '' if it is not given."""
        word = self.options.get(name)
        return word.text.strip() if word else ""


@dataclass(frozen=True, slots=True)
class Grant:
    """A `TOKEN "name" READ|APPEND` line."""

    token: str
    permission: str
    span: Span


@dataclass(frozen=True, slots=True)
class Index:
    """A data skipping index: expression, type with its arguments, granularity (in granules)."""

    name: str
    expression: str
    type: str
    granularity: int
    span: Span


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret used in a file, and its default (None: it must be set)."""

    name: str
    default: str | None
    span: Span


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection to another system; `options` are the values of its directives, with secrets not filled in."""

    name: str
    file: str
    span: Span
    type: str
    options: Mapping[str, Word]
    description: str = ""
    secrets: tuple[Secret, ...] = ()


@dataclass(frozen=True, slots=True)
class DataSource:
    """A data source: a table with a schema, fed by events, files, materialized views or copies.

    `connector` are its KAFKA_*, IMPORT_* and PG_* values; `forward_query` converts rows to a new schema; `version` is
    that of Tinybird Classic, where `<name>__v<version>` is another name for it; `derived` means that ClickHouse
    determined some of its types.
    """

    name: str
    file: str
    span: Span
    columns: tuple[Column, ...]
    engine: TableEngine
    description: str = ""
    tags: tuple[str, ...] = ()
    grants: tuple[Grant, ...] = ()
    indexes: tuple[Index, ...] = ()
    connector: Mapping[str, Word] = field(default_factory=dict)
    forward_query: Word | None = None
    backfill_skip: bool = False
    shared_with: tuple[str, ...] = ()
    secrets: tuple[Secret, ...] = ()
    version: str = ""
    derived: bool = False

    @property
    def quarantine_time(self) -> str:
        """Return the name of the quarantine's column for the time of arrival, which no own column has."""
        return "c__insertion_date" if self.column("insertion_date") else "insertion_date"

    @property
    def ingestible(self) -> bool:
        """Return whether events can be sent to it: not if it stores aggregate states."""
        states = [c.type for c in self.columns if "AggregateFunction(" in c.type]
        return bool(self.columns) and not any(
            "AggregateFunction(" in type_.replace("SimpleAggregateFunction(", "") for type_ in states
        )

    def column(self, name: str) -> Column | None:
        """Return the column of that name, or None."""
        return next((c for c in self.columns if c.name == name), None)


class PipeKind(StrEnum):
    """The purpose of a pipe, named as clients name it; `default` is a plain, reusable query."""

    DEFAULT = "default"
    ENDPOINT = "endpoint"
    MATERIALIZED = "materialized"
    COPY = "copy"
    SINK = "sink"


@dataclass(frozen=True, slots=True)
class Node:
    """One step of a pipe: a name and a query program."""

    name: str
    span: Span
    program: TemplateProgram
    description: str = ""


@dataclass(frozen=True, slots=True)
class Pipe:
    """A pipe; `output` is the node that it publishes (the one with a TYPE, else the last).

    `untyped` means that no node has a TYPE; `engine` is that of the target, if a Classic materialized node defines it;
    `export` are a sink's EXPORT_* values; `version` is that of Tinybird Classic.
    """

    name: str
    file: str
    span: Span
    nodes: tuple[Node, ...]
    output: Node
    kind: PipeKind = PipeKind.DEFAULT
    description: str = ""
    tags: tuple[str, ...] = ()
    grants: tuple[Grant, ...] = ()
    target: Word | None = None
    copy_schedule: str = ""
    copy_mode: str = "append"
    engine: TableEngine | None = None
    export: Mapping[str, Word] = field(default_factory=dict)
    deployment_alter: bool = False
    version: str = ""
    untyped: bool = False

    def node(self, name: str) -> Node | None:
        """Return the node of that name, or None."""
        return next((n for n in self.nodes if n.name == name), None)


@dataclass(frozen=True, slots=True)
class Project:
    """All resources of a folder by name, the texts of its files, and the diagnostics so far.

    `files` are the texts of the files themselves; `sources` also contain the texts expanded by INCLUDE, and `included`
    the names of these by the file that they are part of. `elsewhere` are files of the folder that were not loaded: a
    misspelt name may refer to something in them.
    """

    data_sources: Mapping[str, DataSource]
    pipes: Mapping[str, Pipe]
    sources: Sources
    diagnostics: tuple[Diagnostic, ...]
    connections: Mapping[str, Connection] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    included: Mapping[str, Collection[str]] = field(default_factory=dict)
    elsewhere: Collection[str] = ()

    def names_elsewhere(self, *endings: str) -> list[str]:
        """Return the names of resources defined by files that were not loaded and have these extensions."""
        return names_of(self.elsewhere, endings)

    def canonical(self, name: str) -> str:
        """Resolve a resource's name: `events__v2` is `events`, if that has VERSION 2 in Tinybird Classic."""
        if name in self.data_sources or name in self.pipes:
            return name
        base, mark, version = name.rpartition("__v")
        if mark and version.isdigit():
            resource = self.data_sources.get(base) or self.pipes.get(base)
            if resource is not None and resource.version == version:
                return base
        return name

    def undefined_targets(self) -> dict[str, Pipe]:
        """Return the materialized pipes that define their target with their own ENGINE, by the target's name."""
        return {
            pipe.target.text: pipe
            for pipe in self.pipes.values()
            if pipe.kind is PipeKind.MATERIALIZED
            and pipe.engine is not None
            and pipe.target is not None
            and self.canonical(pipe.target.text) not in self.data_sources
        }


def names_of(files: Iterable[str], endings: tuple[str, ...]) -> list[str]:
    """Return the names of the resources in files with one of these extensions."""
    return [resource_name(file) for file in files if file.endswith(endings)]
