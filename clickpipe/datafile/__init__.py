"""Datafiles: text to syntax tree with spans. The only room that knows lark."""

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
    "Kind",
    "NodeClause",
    "PipeFile",
    "Statement",
    "TypeExpr",
    "expand_variables",
    "parse_datafile",
]
