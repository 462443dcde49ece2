"""Which data sources and pipes a SELECT reads, with the offsets of their names.

sqlglot only finds the places; the SQL is never regenerated (it would change its meaning), only
spliced at these offsets.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from clickpipe.sql.simple import simple_tables

if TYPE_CHECKING:
    from sqlglot import exp

logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of every statement that is no SELECT; we refuse those

# What sqlglot raises beside its own errors, for SQL that it cannot read (`map(1)`: IndexError).
PARSER_FAILS = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
_LEXER_SCAN = re.compile(
    r"""'(?:[^'\\]|\\.|'')*'|--[^\n]*|/\*.*?\*/"""
    r"""|\b(?P<keyword>FROM|JOIN|IN)\s+(?P<name>[A-Za-z_]\w*|`[^`]+`)(?P<more>\s*[.(])?""",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class TableReference:
    """A table name in SQL text: `database` is '' for a bare name; offsets cover the name as written."""

    name: str
    database: str
    start: int
    end: int
    alias: str = ""
    in_operator: bool = False


@lru_cache(maxsize=4096)
def references(sql: str) -> tuple[TableReference, ...]:
    """Return the table names that `sql` reads, in text order, without those a CTE defines."""
    simple = simple_tables(sql)
    if simple is not None:
        return tuple(TableReference(t.name, "", t.start, t.end, t.alias) for t in simple)
    return _parsed_references(sql)


def _parsed_references(sql: str) -> tuple[TableReference, ...]:
    from sqlglot import errors, parse_one

    try:
        tree = parse_one(sql, dialect="clickhouse")
    except (errors.SqlglotError, *PARSER_FAILS):
        return tuple(_scan(sql))
    found = [*_tables(tree), *_in_operands(tree)]
    return tuple(sorted(found, key=lambda r: r.start))


@lru_cache(maxsize=4096)
def main_table(sql: str) -> TableReference | None:
    """Return the left-most table of a SELECT: the one whose inserts run a materialized view."""
    plain = simple_tables(sql)
    if plain is not None and len(plain) == 1:
        return next(iter(references(sql)))
    from sqlglot import errors, exp, parse_one

    try:
        current: exp.Expr | None = parse_one(sql, dialect="clickhouse")
    except (errors.SqlglotError, *PARSER_FAILS):
        return next(iter(references(sql)), None)
    ctes: dict[str, exp.Expr] = {}
    while current is not None and not isinstance(current, exp.Table):
        clause = current.args.get("with_")
        ctes |= {cte.alias: cte.this for cte in (clause.expressions if clause else ()) if not cte.args.get("scalar")}
        current = current.args.get("from_") or current.this if isinstance(current, exp.Select) else current.this
        if isinstance(current, exp.Table) and not current.db:
            current = ctes.pop(current.name, current)
        elif not isinstance(current, exp.Expr):
            return None
    found = {(r.name, r.start): r for r in references(sql)}
    start = (current.args.get("db") or current.this).meta.get("start", -1) if current is not None else -1
    return found.get((current.name, start)) if current is not None else None


def splice(sql: str, replace: Callable[[TableReference], str | None]) -> str:
    """Return `sql` with each table name replaced by what `replace` says (None keeps it).

    A name without an alias keeps its own as alias, so that `events.user_id` goes on working.
    """
    parts: list[str] = []
    at = 0
    for reference in references(sql):
        new = replace(reference)
        if new is None:
            continue
        keeps_name = not reference.alias and not reference.in_operator
        alias = f" AS {quote_identifier(reference.name)}" if keeps_name else ""
        parts += [sql[at : reference.start], new, alias]
        at = reference.end
    return "".join([*parts, sql[at:]])


def quote_identifier(name: str) -> str:
    """Return a name as ClickHouse takes it anywhere: in backticks, escaped."""
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


def quote_literal(text: str) -> str:
    """Return text as a ClickHouse string literal. For text of a project's files, never of a request."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _tables(tree: exp.Expr) -> Iterator[TableReference]:
    from sqlglot import exp

    for table in tree.find_all(exp.Table):
        identifier = table.this
        if not isinstance(identifier, exp.Identifier) or "start" not in identifier.meta:
            continue
        database = table.args.get("db")
        first = database if isinstance(database, exp.Identifier) else identifier
        name = identifier.name
        if database is None and name in _visible_ctes(table):
            continue
        start, end = first.meta["start"], identifier.meta["end"] + 1
        yield TableReference(name, table.db, start, end, table.alias)


def _in_operands(tree: exp.Expr) -> Iterator[TableReference]:
    from sqlglot import exp

    for node in tree.find_all(exp.In):
        field = node.args.get("field")
        if not isinstance(field, exp.Column) or not isinstance(field.this, exp.Identifier):
            continue
        identifier = field.this
        first = field.args.get("table") or identifier
        if not field.table and identifier.name in _visible_ctes(node):
            continue
        if "start" in first.meta:
            start, end = first.meta["start"], identifier.meta["end"] + 1
            yield TableReference(identifier.name, field.table, start, end, in_operator=True)


def _visible_ctes(node: exp.Expr) -> set[str]:
    """Return the names that WITH clauses around `node` define as sub-queries."""
    from sqlglot import exp

    names: set[str] = set()
    inside: exp.Expr | None = None  # the CTE that `node` is part of, below the current WITH
    current: exp.Expr | None = node
    while current is not None:
        if isinstance(current, exp.CTE):
            inside = current
        clause = None if isinstance(current, exp.With) else current.args.get("with_") or current.args.get("with")
        if isinstance(clause, exp.With):
            for cte in clause.expressions:
                if cte is inside and not clause.args.get("recursive"):
                    break
                if not cte.args.get("scalar"):
                    names.add(cte.alias)
        current = current.parent
    return names


def _scan(sql: str) -> Iterator[TableReference]:
    """Find names after FROM, JOIN and IN by reading tokens: the fallback for what sqlglot cannot parse."""
    for match in _LEXER_SCAN.finditer(sql):
        name = match.group("name")
        if name is None or match.group("more"):
            continue
        bare = name.strip("`")
        if bare.upper() == "SELECT":
            continue
        operator = match.group("keyword").upper() == "IN"
        yield TableReference(bare, "", match.start("name"), match.end("name"), in_operator=operator)
