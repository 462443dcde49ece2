"""Checks copies that read other systems with table functions such as `s3(…)`, without opening any of them.

In the SQL that ClickHouse types, an empty table replaces each call that gives the structure of its rows as a string
(`'id String, n Int32'`). The columns of other calls are only known when the copy runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from clickpipe.config import COPY_SOURCES

_CALL = re.compile(rf"\b(?:{'|'.join(COPY_SOURCES)})\s*\(", re.IGNORECASE)
_PART = re.compile(r"'(?:[^'\\]|\\.|'')*'|--[^\n]*|/\*.*?(?:\*/|\Z)|[()]", re.DOTALL)
_STRUCTURE = re.compile(r"^'\s*[`\"]?\w+[`\"]?\s+[A-Z]\w*[\s,('].*$|^'\s*\w+\s+[A-Z]\w*'$", re.DOTALL)


def without_sources(sql: str) -> str | None:
    """Replace each such call in SQL by an empty table; None if the columns of one are unknown."""
    parts: list[str] = []
    at = 0
    for start, end in _calls(sql):
        structure = next((m[0] for m in _PART.finditer(sql, start, end) if _STRUCTURE.match(m[0])), None)
        if structure is None:
            return None
        parts += [sql[at:start], f"null({structure})"]
        at = end
    return "".join([*parts, sql[at:]])


def _calls(sql: str) -> Iterator[tuple[int, int]]:
    """Yield the (start, end) of each call outside strings and comments."""
    at = 0
    while (call := _CALL.search(sql, at)) is not None:
        skipped = next((m for m in _PART.finditer(sql, at) if m.end() > call.start()), None)
        if skipped is not None and skipped.start() <= call.start() and len(skipped[0]) > 1:
            at = skipped.end()
            continue
        depth = 0
        for part in _PART.finditer(sql, call.end() - 1):
            depth += {"(": 1, ")": -1}.get(part[0], 0)
            if depth == 0:
                yield call.start(), part.end()
                at = part.end()
                break
        else:
            return
