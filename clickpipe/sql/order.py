"""Finds the columns that a SELECT orders its rows by."""

from __future__ import annotations

from typing import Any

from clickpipe.sql.tree import read_tree


def order_keys(tree: str) -> tuple[str | int, ...]:
    """Return the result's columns (names, or numbers from 1) that a SELECT's rows are ordered by; () for none.

    `tree` is its syntax tree. Columns behind the first key that is an expression are left out.
    """
    selects = read_tree(tree).get("list_of_selects", {}).get("children", [])
    if len(selects) != 1:
        return ()
    found: list[str | int] = []
    for item in selects[0].get("order_by", {}).get("children", ()):
        key: dict[str, Any] = item.get("expression", item)
        value = key.get("value", {})
        if key.get("type") == "Identifier":
            found.append((key.get("name_parts") or [key["name"]])[-1])
        elif value.get("field_type") == "UInt64":
            found.append(value["value"])
        else:
            break
    return tuple(found)
