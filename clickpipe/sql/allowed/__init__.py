"""Allow-lists for SQL and data sources: functions, settings of queries and of tables.

The lists are files in this folder, generated from the functions and settings of the pinned ClickHouse and reviewed by
people.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from clickpipe.concurrency import remembered

# Suffixes of aggregate functions, which can be combined repeatedly.
_COMBINATORS = (
    *("argmax", "argmin", "array", "distinct", "foreach", "if", "map", "merge", "null", "ordefault", "ornull"),
    *("resample", "simplestate", "state", "tuple"),
)
CODECS = frozenset(
    {
        *("codec", "default", "none", "lz4", "lz4hc", "zstd", "delta", "doubledelta", "gcd", "gorilla", "fpc", "t64"),
        *("alp", "sz3", "zxc"),
    }
)


@cache
def names(list_: str) -> frozenset[str]:
    """Return the names in a list: `functions`, `settings`, `table_settings`, or one of these with `_refused`."""
    return frozenset(line.split()[0] for line in _lines(list_))


@cache
def bounds(list_: str) -> Mapping[str, int]:
    """Return the maximum values of the settings in a list that have one."""
    return {name: int(most[0]) for name, *most in map(str.split, _lines(list_)) if most}


@cache
def unfailing(where: str) -> frozenset[str]:
    """Return the functions that cannot fail for a row in this context (see `unfailing.txt`)."""
    words = (line.split() for line in _lines("unfailing"))
    return frozenset(name for name, *places in words if where in places)


def _lines(list_: str) -> list[str]:
    text = (Path(__file__).parent / f"{list_}.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@remembered(1_000_000)
def is_function(name: str) -> bool:
    """Return whether SQL may call a function, including aggregate functions with combinators."""
    known = names("functions")
    waiting = [name.lower()]
    while waiting:
        one = waiting.pop()
        if one in known:
            return True
        waiting += [one.removesuffix(end) for end in _COMBINATORS if one.endswith(end) and one != end]
    return False


def is_refused_function(name: str) -> bool:
    """Return whether a function exists in ClickHouse, but SQL may not call it."""
    lower = name.lower()
    return lower.startswith("__") or lower in names("functions_refused")
