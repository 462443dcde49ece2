"""Counts of what was read, taken out of results of any size and cut."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, strategies as st

from clickpipe.engine import QueryResult, whole
from clickpipe.query.filtered import own_rows


class Parts:
    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts

    def take(self) -> bytes | None:
        return self._parts.pop(0) if self._parts else None

    def close(self) -> None:
        self._parts = []


@given(
    values=st.lists(st.integers(0, 10**9), max_size=400),
    cuts=st.lists(st.integers(1, 500), max_size=30),
    is_whole=st.booleans(),
)
def test_however_a_result_is_cut_its_statistics_count_its_rows(
    values: list[int], cuts: list[int], *, is_whole: bool
) -> None:
    rows = [{"n": value, "rows_read": 15} for value in values]
    document: dict[str, Any] = {"data": rows, "rows": len(rows)}
    document["statistics"] = {"elapsed": 0.5, "rows_read": 987654321, "bytes_read": 123456789}
    body = json.dumps(document).encode()
    parts, rest = [], body
    for cut in cuts:
        parts.append(rest[:cut])
        rest = rest[cut:]
    parts.append(rest)
    more = None if is_whole else Parts([part for part in parts[1:] if part])
    cut_result = QueryResult(body if is_whole else parts[0], 987654321, 123456789, 0.5, len(rows), more)
    result = whole(own_rows(cut_result, "SELECT 1"))
    told = json.loads(result.body)
    assert told["data"] == rows
    before = body.index(b'"statistics"')
    assert told["statistics"] == {"elapsed": 0.5, "rows_read": len(rows), "bytes_read": before}
