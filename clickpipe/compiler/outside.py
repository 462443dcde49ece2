"""What copies read elsewhere, by table functions such as `s3(…)`: a check opens none of it.

In the SQL that ClickHouse types, a call with the structure of its rows as a text (`'id String, n Int32'`) stands for an
empty table of that structure. Of other calls the columns are known only when the copy runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from clickpipe.config import COPY_SOURCES

_CALL = re.compile(rf"\b(?:{'|'.join(COPY_SOURCES)})\s*\(", re.IGNORECASE)
_PART = re.compile(r"'(?:[^'\\]|\\.|'')*'|--[^\n]*|/\*.*?(?:\*/|\Z)|[()]", re.DOTALL)
_STRUCTURE = re.compile(r"^'\s*[`\"]?\w+[`\"]?\s+[A-Z]\w*[\s,('].*$|^'\s*\w+\s+[A-Z]\w*'$", re.DOTALL)


def without_sources(sql: str) -> str | None:
    """Return SQL in which an empty table stands for each such call; None where the columns of one are not known."""
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
    """Yield where each call starts and ends, outside of texts and comments."""
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
