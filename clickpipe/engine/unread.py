"""Explains why ClickHouse's parser refused to return a statement's tree."""

from __future__ import annotations

from clickpipe.engine.protocol import EngineError
from clickpipe.sql import OTHER

_NO_FORM = " cannot be represented as AST JSON"  # a SELECT with something that trees cannot hold (a table's UUID)
_ASKED = ": In scope SELECT parseQueryToJSON("


def unread(error: EngineError) -> str:
    """Return `OTHER` if the tree cannot represent the statement, which is then no SELECT. Else raises the error."""
    if _NO_FORM in error.message:
        error.message = f"{error.message.split(_NO_FORM, 1)[0]} is not allowed"
    elif error.name != "SYNTAX_ERROR" and "parseQueryToJSON" in error.message:
        return OTHER
    error.message = error.message.split(_ASKED, 1)[0]
    raise error
