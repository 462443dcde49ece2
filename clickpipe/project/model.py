"""The resources of a project: data sources, pipes, nodes. Frozen data with the places they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from clickpipe.diagnostics import Diagnostic, Sources, Span, Word
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
        """Return `ENGINE_<name>` as text, '' when it is not given."""
        word = self.options.get(name)
        return word.text.strip() if word else ""


@dataclass(frozen=True, slots=True)
class Grant:
    """A `TOKEN "name" READ|APPEND` line."""

    token: str
    permission: str
    span: Span


@dataclass(frozen=True, slots=True)
class DataSource:
    """A data source: a table with a schema, fed by events, files, views or copies."""

    name: str
    file: str
    span: Span
    columns: tuple[Column, ...]
    engine: TableEngine
    description: str = ""
    tags: tuple[str, ...] = ()
    grants: tuple[Grant, ...] = ()

    def column(self, name: str) -> Column | None:
        """Return the column of that name, or None."""
        return next((c for c in self.columns if c.name == name), None)


class PipeKind(StrEnum):
    """What a pipe is for, named as the clients name it; `default` is a plain, reusable query."""

    DEFAULT = "default"
    ENDPOINT = "endpoint"
    MATERIALIZED = "materialized"
    COPY = "copy"


@dataclass(frozen=True, slots=True)
class Node:
    """One step of a pipe: a name and a query program."""

    name: str
    span: Span
    program: TemplateProgram
    description: str = ""


@dataclass(frozen=True, slots=True)
class Pipe:
    """A pipe; `output` is the node it publishes (the typed one, else the last)."""

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

    def node(self, name: str) -> Node | None:
        """Return the node of that name, or None."""
        return next((n for n in self.nodes if n.name == name), None)


@dataclass(frozen=True, slots=True)
class Project:
    """All resources of a folder by name, the files' texts, and what is wrong with them so far."""

    data_sources: Mapping[str, DataSource]
    pipes: Mapping[str, Pipe]
    sources: Sources
    diagnostics: tuple[Diagnostic, ...]
