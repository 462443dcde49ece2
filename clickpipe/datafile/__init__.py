"""Parses datafiles to syntax trees with spans. The only package that imports lark."""

from typing import TYPE_CHECKING, Any

from clickpipe.datafile.parser import parse_datafile
from clickpipe.datafile.syntax import (
    ColumnDef,
    ConnectionFile,
    Datafile,
    DataSourceFile,
    Kind,
    NodeClause,
    PipeFile,
    Statement,
    TypeExpr,
)
from clickpipe.datafile.variables import expand_variables

if TYPE_CHECKING:
    from clickpipe.datafile.format import FormatSQL, format_datafile

__all__ = [
    "ColumnDef",
    "ConnectionFile",
    "DataSourceFile",
    "Datafile",
    "FormatSQL",
    "Kind",
    "NodeClause",
    "PipeFile",
    "Statement",
    "TypeExpr",
    "expand_variables",
    "format_datafile",
    "parse_datafile",
]


def __getattr__(name: str) -> Any:
    """Import the formatter lazily."""
    if name in {"FormatSQL", "format_datafile"}:
        from clickpipe.datafile import format as formatter

        return getattr(formatter, name)
    message = f"module 'clickpipe.datafile' has no attribute '{name}'"
    raise AttributeError(message)
