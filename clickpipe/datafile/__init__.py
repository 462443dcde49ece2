"""Datafiles: text to syntax tree with spans. The only room that knows lark."""

from clickpipe.datafile.format import FormatSQL, format_datafile
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
