"""SQL as ClickHouse's own clients send it, over what a workspace shows them: one database with its tables.

They qualify names with a database, and read `system.tables` and the like to list what there is. Here such names become
the workspace's own, and such tables become constants that hold its data sources and pipes, before the SQL is judged.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace

from clickpipe.query.shown import INFORMATION_SCHEMA, Shown
from clickpipe.query.statements import ClientQuery, client_statement
from clickpipe.query.system_tables import system_table
from clickpipe.sql import TableReference, quote_identifier, quote_literal, references, splice

_CONSTANTS = re.compile(
    r"'(?:[^'\\]|\\.|'')*'|`[^`]*`|\"[^\"]*\"|"
    r"\b(?P<name>displayName|hostName|current_?Database|database|current_?Schema|schema|current_?User|user)"
    r"\s*\(\s*\)",
    re.IGNORECASE,
)
_DATABASE_FUNCTIONS = frozenset({"currentdatabase", "database", "currentschema", "schema"})
_QUALIFIED = re.compile(
    r"'(?:[^'\\]|\\.|'')*'|"
    r"(?<![\w`\".])(?P<database>`\w+`|\"\w+\"|\w+)\s*\.\s*(?P<table>`[^`]+`|\"[^\"]+\"|\w+)\s*\.\s*(?=[`\"\w])"
)


def client_query(text: str, shown: Shown) -> ClientQuery:
    """Return a client's statement over a workspace's own names.

    Raises ClickpipeError for one that writes, and for what is not there.
    """
    query = client_statement(text, shown)
    return replace(query, sql=_own_names(query.sql, shown)) if query.sql else query


def unknown_database(text: str, shown: Shown) -> str:
    """Return a database that a client's SQL names and that there is not, '' where there is none."""
    named = (reference.database for reference in references(text) if reference.database)
    return next((name for name in named if not shown.canonical(name) and name != "tinybird"), "")


def _own_names(text: str, shown: Shown) -> str:
    def constant(match: re.Match[str]) -> str:
        name = match["name"]
        if name is None:
            return match[0]
        own = name.lower().replace("_", "") in _DATABASE_FUNCTIONS
        return quote_literal(shown.database if own else "clickpipe")

    text = _without_databases(text, {shown.database, "default", "system", INFORMATION_SCHEMA})

    def instead(reference: TableReference) -> str | None:
        if not reference.database:
            return None
        if shown.canonical(reference.database) == shown.database:
            return quote_identifier(reference.name)
        return system_table(reference.database, reference.name, shown)

    return splice(_CONSTANTS.sub(constant, text), instead)


def _without_databases(sql: str, databases: Collection[str]) -> str:
    """Return SQL with `database.table.column` as `table.column`, or with the alias that the table has there."""
    named = {(r.database.lower(), r.name): r.alias or r.name for r in references(sql)}

    def shortened(match: re.Match[str]) -> str:
        if match["table"] is None or match["database"].strip('`"') not in databases:
            return match[0]
        alias = named.get((match["database"].strip('`"').lower(), match["table"].strip('`"')))
        return f"{quote_identifier(alias)}." if alias else match[0]

    return _QUALIFIED.sub(shortened, sql)
