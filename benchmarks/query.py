"""Queries over HTTP: a kept result against a route that does nothing, equal requests at once, large results, tokens."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from benchmarks.events import ndjson
from benchmarks.serving import Server, serve

ROWS = 100_000
CLIENTS, SECONDS = 16, 4.0
SLOW = "/v0/pipes/slow.json?n=300000000"
_PIPE = "NODE n\nSQL >\n    %\n    SELECT {} FROM numbers({{{{UInt64(n, 1)}}}})\nTYPE endpoint\n"
PIPES = {
    "slow": _PIPE.format("sum(cityHash64(number)) AS s"),
    "large": _PIPE.format("number AS n, toString(number) AS s, now() AS t"),
}


def main() -> None:
    """Print rates and their ratios, executions, times to the first byte, memory."""
    with tempfile.TemporaryDirectory(prefix="clickpipe-bench-") as folder:
        project = Path(folder) / "project"
        source = Path(__file__).parent.parent
        for kind in ("datasources", "pipes"):
            (project / kind).mkdir(parents=True)
            for path in (source / kind).iterdir():
                (project / kind / path.name).write_bytes(path.read_bytes())
        for name, text in PIPES.items():
            (project / "pipes" / f"{name}.pipe").write_text(text, encoding="utf-8")
        with serve(Path(folder) / "data", project) as server:
            connection = server.connect()
            for body in ndjson(ROWS):
                server.request(connection, "POST", "/v0/events?name=clickstream_events&wait=true", body)
            asyncio.run(_hot(server))
            asyncio.run(_equal(server))
            asyncio.run(_large(server))


async def _hot(server: Server) -> None:
    path = "/v0/pipes/get_popular_pages.json?limit=10"
    nothing = await _rate(server, "/v0/health", with_token=False)
    checked = await _rate(server, "/v0/pipes/absent.txt", with_token=True)
    kept = await _rate(server, path, with_token=True)
    print(f"a route that does nothing: {nothing:,.0f} requests/s; a token is checked, then 404: {checked:,.0f}")
    print(f"a kept result ({CLIENTS} clients): {kept:,.0f} requests/s, ratio {kept / nothing:.2f}", flush=True)


async def _rate(server: Server, path: str, *, with_token: bool) -> float:
    """Return requests a second of several clients, each with one connection; they do as little as can be done."""
    head = _head(server, path, with_token=with_token)
    host, port = urlsplit(server.url).netloc.split(":")
    loop = asyncio.get_running_loop()
    clients = [(await loop.create_connection(lambda: _Client(head), host, int(port)))[1] for _ in range(CLIENTS)]
    started = time.perf_counter()
    await asyncio.sleep(SECONDS)
    count = sum(client.count for client in clients)
    seconds = time.perf_counter() - started
    for client in clients:
        client.stop()
    return count / seconds


class _Client(asyncio.Protocol):
    """Sends a request, again and again, as soon as the answer before is there."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._left = 0  # bytes of the answer that are to come
        self.count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._head)

    def data_received(self, data: bytes) -> None:
        if not self._left:
            end = data.index(b"\r\n\r\n") + 4
            at = data.index(b"content-length: ") + 16
            self._left = int(data[at : data.index(b"\r", at)])
            data = data[end:]
        self._left -= len(data)
        if self._left == 0:
            self.count += 1
            self._transport.write(self._head)

    def stop(self) -> None:
        self._transport.abort()


async def _equal(server: Server) -> None:
    one = await _timed(server, SLOW)
    found = await asyncio.gather(*(_timed(server, SLOW.replace("n=3", "n=2")) for _ in range(64)))
    sources = Counter(source for _, _, source in found)
    longest = max(seconds for _, seconds, _ in found)
    print(
        f"64 equal requests of a slow query: {sources['MISS']} ran, {sources['SHARED']} waited for it; "
        f"{longest:.2f} s for all, {one[1] * 2 / 3:.2f} s for one (of that size)",
        flush=True,
    )


async def _large(server: Server) -> None:
    for rows in (10_000, 1_000_000):
        before = _memory(server.pid)
        times = [await _timed(server, f"/v0/pipes/large.ndjson?n={rows}&k={k}") for k in range(5)]
        first = statistics.median(first for first, _, _ in times)
        whole = statistics.median(whole for _, whole, _ in times)
        most = _memory(server.pid, "VmHWM")
        print(
            f"{rows:,} rows: first byte after {first * 1000:.1f} ms, all after {whole * 1000:.1f} ms; "
            f"memory {before} MB before, {most} MB at most",
            flush=True,
        )


async def _timed(server: Server, path: str) -> tuple[float, float, str]:
    reader, writer = await _open(server)
    started = time.perf_counter()
    writer.write(_head(server, path, with_token=True))
    first, headers = await _read(reader)
    writer.close()
    return first - started, time.perf_counter() - started, headers.get("x-cache", "")


def _head(server: Server, path: str, *, with_token: bool) -> bytes:
    token = f"Authorization: Bearer {server.token}\r\n" if with_token else ""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{token}\r\n".encode()


async def _open(server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(server.url)
    return await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 24)


async def _read(reader: asyncio.StreamReader) -> tuple[float, dict[str, str]]:
    """Read one response; return when its first byte came, and its headers."""
    head = await reader.readuntil(b"\r\n\r\n")
    first = time.perf_counter()
    lines = head.decode().split("\r\n")[1:]
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
    if "content-length" in headers:
        await reader.readexactly(int(headers["content-length"]))
        return first, headers
    while size := int(await reader.readline(), 16):
        await reader.readexactly(size + 2)
    await reader.readline()
    return first, headers


def _memory(pid: int, what: str = "VmRSS") -> int:
    """Return a process's memory in MB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(what):
            return int(line.split()[1]) // 1024
    return 0
