"""What ClickHouse's parser has against SQL that it was asked for the tree of, in a caller's words."""

from __future__ import annotations

from clickpipe.engine.protocol import EngineError
from clickpipe.sql import OTHER

_NO_FORM = " cannot be represented as AST JSON"  # of a SELECT that says what no tree tells, as the UUID of a table
_ASKED = ": In scope SELECT parseQueryToJSON("


def unread(error: EngineError) -> str:
    """Return `OTHER` for a statement that has no form in a tree: it is no SELECT. Raises the error for all else."""
    if _NO_FORM in error.message:
        error.message = f"{error.message.split(_NO_FORM, 1)[0]} is not allowed"
    elif error.name != "SYNTAX_ERROR" and "parseQueryToJSON" in error.message:
        return OTHER
    error.message = error.message.split(_ASKED, 1)[0]
    raise error
