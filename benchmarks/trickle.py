"""Many data sources with an event a second each: when rows can be read, and what it costs."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.serving import Server, serve

SOURCES = 200
SECONDS = 30
_WARM = 5  # seconds before that are not counted
# `written` is the moment of the insert; the columns besides are those of a page's hit.
_SOURCE = """SCHEMA >
    sent Float64 `json:$.sent`,
    session_id String `json:$.session_id`,
    page LowCardinality(String) `json:$.page`,
    written DateTime64(6) DEFAULT now64(6)

ENGINE "MergeTree"
ENGINE_PARTITION_KEY "toYYYYMM(written)"
ENGINE_SORTING_KEY "page, written"
"""


def main() -> None:
    """Print the part of a core that a server takes, and how long after it is sent an event is inserted."""
    with tempfile.TemporaryDirectory(prefix="clickpipe-bench-") as name:
        folder = Path(name) / "project"
        (folder / "datasources").mkdir(parents=True)
        for number in range(SOURCES):
            (folder / "datasources" / f"hits_{number}.datasource").write_text(_SOURCE, encoding="utf-8")
        with serve(Path(name) / "data", folder) as server:
            idle = part_of_a_core(server, 5.0)
            busy, sent = asyncio.run(_trickle(server))
            time.sleep(3)
            late = _late(server)
    print(
        f"{SOURCES} data sources, an event a second each: {busy:.0%} of a core ({idle:.0%} idle); inserted p50 "
        f"{late[0]:.2f} s, p99 {late[1]:.2f} s after they were sent; {late[2]:,.0f} of {sent:,} are there",
        flush=True,
    )


def part_of_a_core(server: Server, seconds: float) -> float:
    """Return the part of a core that a server takes for some seconds."""
    before = _cpu(server.pid)
    time.sleep(seconds)
    return (_cpu(server.pid) - before) / seconds


def _cpu(pid: int) -> float:
    """Return how many seconds of a core a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _trickle(server: Server) -> tuple[float, int]:
    """Send an event a second to each data source; return the part of a core that it takes, and how many were sent."""
    parts = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    started = begun = time.monotonic()
    before, sent = 0.0, 0
    for number in range(SOURCES * (_WARM + SECONDS)):
        await asyncio.sleep(max(0.0, started + number / SOURCES - time.monotonic()))
        if number == SOURCES * _WARM:
            before, begun = _cpu(server.pid), time.monotonic()
        row = {"sent": time.time(), "session_id": f"session-{number % 977}", "page": f"/pages/{number % 31}"}
        body = json.dumps(row).encode()
        head = (
            f"POST /v0/events?name=hits_{number % SOURCES} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {server.token}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"}")
        if not answer.startswith(b"HTTP/1.1 202"):
            raise RuntimeError(answer.decode())
        sent += 1
    busy = (_cpu(server.pid) - before) / (time.monotonic() - begun)
    writer.close()
    return busy, sent


def _late(server: Server) -> tuple[float, float, int]:
    """Return median and 99th percentile of the seconds from send to insert, and how many events there are."""
    every = " UNION ALL ".join(f"SELECT sent, written FROM hits_{number}" for number in range(SOURCES))
    late = "toUnixTimestamp64Micro(written) / 1e6 - sent"
    sql = f"SELECT quantile(0.5)({late}) AS p50, quantile(0.99)({late}) AS p99, count() AS events FROM ({every})"
    body = server.request(server.connect(), "POST", "/v0/sql", f"{sql} FORMAT JSON".encode())
    row = json.loads(body)["data"][0]
    return float(row["p50"]), float(row["p99"]), int(row["events"])
