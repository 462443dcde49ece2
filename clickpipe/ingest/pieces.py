"""Limits the rows per insert: a few MB of tiny rows become GBs in ClickHouse."""

from __future__ import annotations

from collections.abc import Iterator

from clickpipe.ingest.body import Lines

MOST_ROWS = 100_000


def line_end(data: bytes, end: int) -> int:
    """Return where line number `MOST_ROWS` ends within the first `end` bytes, or `end` if there are fewer."""
    if data.count(b"\n", 0, end) < MOST_ROWS:
        return end
    at = 0
    for _ in range(MOST_ROWS):
        at = data.index(b"\n", at) + 1
    return at


def pieces(lines: Lines) -> Iterator[Lines]:
    """Yield lines in pieces of at most `MOST_ROWS`."""
    data = lines.data
    while (end := line_end(data, len(data))) < len(data):
        yield Lines(data[: end - 1])
        data = data[end:]
    yield Lines(data, lines.invalid)
