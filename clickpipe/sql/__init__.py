"""Reading SQL without changing it: table references with offsets, statement checks. Only room with sqlglot."""

from clickpipe.sql.determinism import Reads, reads
from clickpipe.sql.guard import Refusal, check, check_create, table_functions
from clickpipe.sql.order import order_keys
from clickpipe.sql.references import TableReference, main_table, quote_identifier, quote_literal, references, splice
from clickpipe.sql.tree import OTHER, columns_part, read_tree

__all__ = [
    "OTHER",
    "Reads",
    "Refusal",
    "TableReference",
    "check",
    "check_create",
    "columns_part",
    "main_table",
    "order_keys",
    "quote_identifier",
    "quote_literal",
    "read_tree",
    "reads",
    "references",
    "splice",
    "table_functions",
]
