"""Datafiles: text to syntax tree with spans. The only room that knows lark."""

from clickpipe.datafile.parser import parse_datafile
from clickpipe.datafile.syntax import (
    ColumnDef,
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
    "DataSourceFile",
    "Datafile",
    "Kind",
    "NodeClause",
    "PipeFile",
    "Statement",
    "TypeExpr",
    "parse_datafile",
]
