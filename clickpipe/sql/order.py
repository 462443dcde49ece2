"""Which columns a SELECT orders its rows by."""

from __future__ import annotations

import logging

logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of every statement that is no SELECT

# What sqlglot raises beside its own errors, for SQL that it cannot read (`map(1)`: IndexError).
_PARSER_FAILS = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


def order_keys(sql: str) -> tuple[str | int, ...] | None:
    """Return the result's columns (names, or numbers from 1) that a SELECT's rows are ordered by; () without ORDER BY.

    Those behind the first that is an expression are left out; None for what cannot be read.
    """
    from sqlglot import errors, exp, parse_one

    try:
        tree = parse_one(sql, dialect="clickhouse")
    except (errors.SqlglotError, *_PARSER_FAILS):
        return None
    order = tree.args.get("order")
    if not isinstance(tree, exp.Query) or order is None:
        return () if isinstance(tree, exp.Query) else None
    found: list[str | int] = []
    for item in order.expressions:
        key = item.this if isinstance(item, exp.Ordered) else item
        if isinstance(key, exp.Column):
            found.append(key.name)
        elif isinstance(key, exp.Literal) and key.is_int:
            found.append(int(key.this))
        else:
            break
    return tuple(found)
