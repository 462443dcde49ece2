"""The syntax tree of a datafile: what was written, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from clickpipe.diagnostics import Span, Word


class Kind(StrEnum):
    """The kinds of datafile, named by their file endings."""

    DATASOURCE = "datasource"
    PIPE = "pipe"
    CONNECTION = "connection"


@dataclass(frozen=True, slots=True)
class TypeExpr:
    """A column type as written, with the outermost type's name apart."""

    name: str
    text: str
    span: Span
    arguments: tuple[TypeExpr, ...] = ()

    @property
    def nullable(self) -> bool:
        """Tell whether the type takes NULL (`Nullable(T)`, also inside `LowCardinality`)."""
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
    """One directive with what follows it.

    `directive` is its canonical name (upper case); `words` are the arguments of a directive that
    takes several; `value` is the rest of the line as one value; `block` is the text after `>`,
    exactly as written.
    """

    directive: str
    keyword: Word
    words: tuple[Word, ...] = ()
    value: Word | None = None
    block: Word | None = None

    @property
    def argument(self) -> Word:
        """Return the value, or the block, or an empty word at the directive itself."""
        return self.value or self.block or Word("", self.keyword.span)


@dataclass(frozen=True, slots=True)
class NodeClause:
    """A `NODE` of a pipe with the statements that belong to it."""

    name: Word
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class DataSourceFile:
    """A `.datasource` file; `columns` is None where it has no readable SCHEMA."""

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
    """A `.connection` file. `included`, here and above, are the texts that INCLUDE brought in, by the name shown."""

    file: str
    text: str
    statements: tuple[Statement, ...]
    included: Mapping[str, str] = field(default_factory=dict)


Datafile = DataSourceFile | PipeFile | ConnectionFile
