"""Bounds on how many rows are inserted together: a few MB of tiny rows are GBs in ClickHouse."""

from __future__ import annotations

from collections.abc import Iterator

from clickpipe.ingest.body import Lines

MOST_ROWS = 100_000


def line_end(data: bytes, end: int) -> int:
    """Return where the last of `MOST_ROWS` lines ends in the first `end` bytes; `end` where there are no more lines."""
    if data.count(b"\n", 0, end) < MOST_ROWS:
        return end
    at = 0
    for _ in range(MOST_ROWS):
        at = data.index(b"\n", at) + 1
    return at


def pieces(lines: Lines) -> Iterator[Lines]:
    """Yield lines in pieces of `MOST_ROWS` at most."""
    data = lines.data
    while (end := line_end(data, len(data))) < len(data):
        yield Lines(data[: end - 1])
        data = data[end:]
    yield Lines(data, lines.invalid)
