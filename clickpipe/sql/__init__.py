"""Reads SQL without changing it: the tables that it names, by offset; statement checks."""

from clickpipe.sql.apart import is_read_apart, read_apart, reads_apart, same_but_final, without_final
from clickpipe.sql.create import MeantColumn, MeantTable, check_create, is_view_of, unclosed
from clickpipe.sql.determinism import Reads, reads
from clickpipe.sql.guard import Refusal, check, table_functions
from clickpipe.sql.lexer import Kind, Token, tokens
from clickpipe.sql.likely import likely
from clickpipe.sql.limits import within_limits
from clickpipe.sql.order import order_keys
from clickpipe.sql.reader import Reader
from clickpipe.sql.scopes import Use
from clickpipe.sql.slow import refuse_slow
from clickpipe.sql.subqueries import count_selects, subqueries
from clickpipe.sql.syntax import (
    Qualifier,
    Syntax,
    TableReference,
    quote_identifier,
    quote_literal,
    splice,
    table_name,
)
from clickpipe.sql.tree import OTHER, columns_part, read_tree
from clickpipe.sql.unfailing import conditions_may_fail, may_fail
from clickpipe.sql.verify import Composition, is_as_meant

__all__ = [
    "OTHER",
    "Composition",
    "Kind",
    "MeantColumn",
    "MeantTable",
    "Qualifier",
    "Reader",
    "Reads",
    "Refusal",
    "Syntax",
    "TableReference",
    "Token",
    "Use",
    "check",
    "check_create",
    "columns_part",
    "conditions_may_fail",
    "count_selects",
    "is_as_meant",
    "is_read_apart",
    "is_view_of",
    "likely",
    "may_fail",
    "order_keys",
    "quote_identifier",
    "quote_literal",
    "read_apart",
    "read_tree",
    "reads",
    "reads_apart",
    "refuse_slow",
    "same_but_final",
    "splice",
    "subqueries",
    "table_functions",
    "table_name",
    "tokens",
    "unclosed",
    "within_limits",
    "without_final",
]
