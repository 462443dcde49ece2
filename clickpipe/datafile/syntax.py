"""The syntax tree of a datafile: what is written, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from clickpipe.diagnostics import Span, Word


class Kind(StrEnum):
    """The kinds of datafile, named after their file extensions."""

    DATASOURCE = "datasource"
    PIPE = "pipe"
    CONNECTION = "connection"


@dataclass(frozen=True, slots=True)
class TypeExpr:
    """A column type as written, with the name of its outermost type."""

    name: str
    text: str
    span: Span
    arguments: tuple[TypeExpr, ...] = ()

    @property
    def nullable(self) -> bool:
        """Return whether the type accepts NULL (`Nullable(T)`, also inside `LowCardinality`)."""
        if self.name == "LowCardinality" and self.arguments:
            return self.arguments[0].nullable
        return self.name == "Nullable"


@dataclass(frozen=True, slots=True)
class ColumnDef:
    """One column line of a SCHEMA block."""

    name: Word
    type: TypeExpr | None
    jsonpath: Word | None = None
    default: Word | None = None
    codec: Word | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """One directive and its argument.

    `directive` is its canonical name (upper case); `words` are the arguments of a directive that takes several; `value`
    is the rest of the line as one value; `block` is the text after `>`, exactly as written.
    """

    directive: str
    keyword: Word
    words: tuple[Word, ...] = ()
    value: Word | None = None
    block: Word | None = None

    @property
    def argument(self) -> Word:
        """Return the value, the block, or else an empty word at the directive itself."""
        return self.value or self.block or Word("", self.keyword.span)


@dataclass(frozen=True, slots=True)
class NodeClause:
    """A `NODE` of a pipe with its statements."""

    name: Word
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class DataSourceFile:
    """A `.datasource` file; `columns` is None if it has no readable SCHEMA."""

    file: str
    text: str
    statements: tuple[Statement, ...]
    columns: tuple[ColumnDef, ...] | None
    included: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PipeFile:
    """A `.pipe` file: the statements before the first NODE, then the nodes."""

    file: str
    text: str
    statements: tuple[Statement, ...]
    nodes: tuple[NodeClause, ...]
    included: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConnectionFile:
    """A `.connection` file. Here and above, `included` are the texts inserted by INCLUDE, by displayed name."""

    file: str
    text: str
    statements: tuple[Statement, ...]
    included: Mapping[str, str] = field(default_factory=dict)


Datafile = DataSourceFile | PipeFile | ConnectionFile
