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
    "parse_datafile",
]
