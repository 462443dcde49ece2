"""Compiles a Project to a CompiledProject: names, types, DDL, query functions. Uses no HTTP, no clock, no files."""

from clickpipe.compiler.changes import compile_changes
from clickpipe.compiler.checker import Checker, CheckFailure, ResultColumn
from clickpipe.compiler.compile import compile_project, restore_project
from clickpipe.compiler.compose import Composer
from clickpipe.compiler.conversions import conversion
from clickpipe.compiler.ddl import column_ddl, fingerprint, meant_table, table_ddl
from clickpipe.compiler.incremental import Known, is_ambiguous, merged, part_of, scope_of
from clickpipe.compiler.json_types import plain_types
from clickpipe.compiler.known import KnownNames
from clickpipe.compiler.model import BoundQuery, CompiledProject, CopyPipe, MaterializedView, QueryFunction, SinkPipe
from clickpipe.compiler.names import FileNames, file_names
from clickpipe.compiler.nodes import bind_node, node_parameters
from clickpipe.compiler.parameters import is_quick, parameters_read
from clickpipe.compiler.service import SERVED, SERVICE_SOURCES
from clickpipe.compiler.table_names import QUARANTINE_SUFFIX
from clickpipe.compiler.tables import table_ddl_quarantine
from clickpipe.compiler.unserved import unserved_resources

__all__ = [
    "QUARANTINE_SUFFIX",
    "SERVED",
    "SERVICE_SOURCES",
    "BoundQuery",
    "CheckFailure",
    "Checker",
    "CompiledProject",
    "Composer",
    "CopyPipe",
    "FileNames",
    "Known",
    "KnownNames",
    "MaterializedView",
    "QueryFunction",
    "ResultColumn",
    "SinkPipe",
    "bind_node",
    "column_ddl",
    "compile_changes",
    "compile_project",
    "conversion",
    "file_names",
    "fingerprint",
    "is_ambiguous",
    "is_quick",
    "meant_table",
    "merged",
    "node_parameters",
    "parameters_read",
    "part_of",
    "plain_types",
    "restore_project",
    "scope_of",
    "table_ddl",
    "table_ddl_quarantine",
    "unserved_resources",
]
