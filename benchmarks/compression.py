"""What compression of answers costs and saves: an endpoint's rows with and without it."""

from __future__ import annotations

import statistics
import time
from urllib.parse import urlencode

from benchmarks.serving import Server

ROWS = (1_000, 100_000)
FORMATS = ("json", "ndjson")
ENCODINGS = ("identity", "gzip", "zstd")
CALLS = {1_000: 40, 100_000: 7}


def report(server: Server) -> None:
    """Print for each size and format: bytes sent, median milliseconds, and both against an answer as it is.

    The query is part of each: what is shown is what a client waits for on a machine of its own, without a network that
    is slower than memory.
    """
    for rows in ROWS:
        sql = f"SELECT timestamp, user_id, event_type, page_url, properties FROM clickstream_events LIMIT {rows}"
        for ending in FORMATS:
            path = f"/v0/pipes/get_popular_pages.{ending}?{urlencode({'q': sql})}"
            plain: tuple[int, float] | None = None
            for encoding in ENCODINGS:
                size, seconds = _measure(server, path, encoding, CALLS[rows])
                plain = plain or (size, seconds)
                saved, cost = size / plain[0], (seconds - plain[1]) * 1000
                per_megabyte = cost / (plain[0] / 1e6)
                print(
                    f"{rows:7} rows of {ending:6} {encoding:8} {size / 1e6:8.3f} MB ({saved:.2f} of it) "
                    f"{seconds * 1000:8.2f} ms (ratio {seconds / plain[1]:.2f}, {cost:+.2f} ms, "
                    f"{per_megabyte:+.1f} ms a MB): faster below {_break_even(plain[0] - size, cost)}",
                    flush=True,
                )


def _measure(server: Server, path: str, encoding: str, calls: int) -> tuple[int, float]:
    connection = server.connect()
    size = len(server.request(connection, "GET", path, accept=encoding))
    times = []
    for _ in range(calls):
        started = time.perf_counter()
        server.request(connection, "GET", path, accept=encoding)
        times.append(time.perf_counter() - started)
    connection.close()
    return size, statistics.median(times)


def _break_even(saved: int, milliseconds: float) -> str:
    """Return the speed of a network below which a client has the compressed answer sooner."""
    if saved <= 0:
        return "-"
    if milliseconds <= 0:
        return "any speed"
    return f"{saved * 8 / 1e6 / (milliseconds / 1000):.0f} Mbit/s"
