"""Rewrites SQL from ClickHouse's own clients, which see a workspace as one database with tables.

They qualify names with a database, and read `system.tables` and the like to list tables. Before the SQL is checked,
such names are replaced by the workspace's own, and such tables by constants that list its data sources and pipes.
"""

from __future__ import annotations

import re
from dataclasses import replace

from clickpipe.query.shown import Shown
from clickpipe.query.statements import ClientQuery, client_statement
from clickpipe.query.system_tables import system_table
from clickpipe.sql import Syntax, TableReference, quote_identifier, quote_literal, splice

_CONSTANTS = re.compile(
    r"'(?:[^'\\]|\\.|'')*'|`[^`]*`|\"[^\"]*\"|"
    r"\b(?P<name>displayName|hostName|current_?Database|database|current_?Schema|schema|current_?User|user)"
    r"\s*\(\s*\)",
    re.IGNORECASE,
)
_DATABASE_FUNCTIONS = frozenset({"currentdatabase", "database", "currentschema", "schema"})


def client_query(text: str, shown: Shown) -> ClientQuery:
    """Return a client's statement, rewritten to a workspace's own names.

    Raises ClickpipeError if it writes, or names something that does not exist.
    """
    query = client_statement(text, shown)
    return replace(query, sql=_own_names(query.sql, shown)) if query.sql else query


def unknown_database(text: str, shown: Shown) -> str:
    """Return a database named in a client's SQL that does not exist, or ''."""
    syntax = shown.live.compiled.reader.read(text)
    named = (table.database for table in syntax.tables if table.database) if isinstance(syntax, Syntax) else iter(())
    return next((name for name in named if not shown.canonical(name) and name != "tinybird"), "")


def _own_names(text: str, shown: Shown) -> str:
    def constant(match: re.Match[str]) -> str:
        name = match["name"]
        if name is None:
            return match[0]
        own = name.lower().replace("_", "") in _DATABASE_FUNCTIONS
        return quote_literal(shown.database if own else "clickpipe")

    def instead(reference: TableReference) -> str | None:
        if not reference.database:
            return None
        if shown.canonical(reference.database) == shown.database:
            return quote_identifier(reference.name)
        return system_table(reference.database, reference.name, shown)

    syntax = shown.live.compiled.reader.read(_CONSTANTS.sub(constant, text))
    return splice(syntax, instead) if isinstance(syntax, Syntax) and not syntax.unplaced else text
