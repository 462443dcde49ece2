"""Events in through HTTP against the engine's own INSERT … SELECT FROM file() of the same rows."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.baseline import serve_baseline
from benchmarks.events import ndjson
from benchmarks.serving import PROJECT, Server, serve
from clickpipe.engine import EmbeddedEngine, config

ROWS = 300_000
BODY = 5_000_000  # bytes of one body
CLIENTS, SECONDS = 64, 10.0
NAMES = ["clickstream_events", *(f"events_{number}" for number in range(50))]
SOURCE = (PROJECT / "datasources" / "clickstream_events.datasource").read_text(encoding="utf-8")


def main() -> None:
    """Print rates, their ratios to the engine's own, latencies, and the server's memory under a flood."""
    month = datetime.now(UTC).strftime("%Y-%m")
    rows = [line.replace(b'"2023-01', f'"{month}'.encode()) for b in ndjson(ROWS, months=1) for line in b.split(b"\n")]
    with tempfile.TemporaryDirectory(prefix="clickpipe-bench-") as folder:
        project = Path(folder) / "project"
        (project / "datasources").mkdir(parents=True)
        for name in NAMES:
            (project / "datasources" / f"{name}.datasource").write_text(SOURCE, encoding="utf-8")
        bodies = list(_bodies(rows))
        own = _engine_alone(Path(folder), bodies)
        with serve(Path(folder) / "data", project) as server:
            _large(server, bodies, own)
            _small(server, rows)
            _visible(server, rows)
        with serve(Path(folder) / "flooded", project) as server:
            _flood(server, bodies)


def _bodies(rows: list[bytes]) -> Iterator[bytes]:
    batch: list[bytes] = []
    size = 0
    for row in rows:
        if size + len(row) > BODY:
            yield b"\n".join(batch)
            batch, size = [], 0
        batch.append(row)
        size += len(row) + 1
    yield b"\n".join(batch)


def _engine_alone(folder: Path, bodies: list[bytes]) -> float:
    """Return rows a second of the engine's own insert: a file for each body, and one with all."""
    grants = config.GRANTS
    config.GRANTS = "GRANT ALL ON *.*"  # only here: the engine that serves reads no files
    engine = EmbeddedEngine(folder / "alone")
    try:
        names = [line.strip().split("`")[1] for line in SOURCE.split("\n") if "json:$" in line]
        schema = ", ".join(f"{name} {'DateTime' if name == 'timestamp' else 'String'}" for name in names)
        engine.execute(
            f"CREATE TABLE default.t ({schema}) ENGINE = MergeTree PARTITION BY toYYYYMM(timestamp) "
            "ORDER BY (timestamp, user_id, session_id)"
        )
        found = {}
        for kind, parts in (("bodies of 5 MB", bodies), ("one file", [b"\n".join(bodies)])):
            paths = []
            for number, part in enumerate(parts):
                paths.append(folder / f"{number}.ndjson")
                paths[-1].write_bytes(part)
            times = []
            for _ in range(3):
                started = time.perf_counter()
                for path in paths:
                    engine.execute(f"INSERT INTO default.t SELECT * FROM file('{path}', 'JSONEachRow', '{schema}')")
                times.append(time.perf_counter() - started)
            found[kind] = ROWS / min(times)
            print(f"the engine's own INSERT … SELECT FROM file(), {kind}: {found[kind]:,.0f} rows/s", flush=True)
    finally:
        engine.close()
        config.GRANTS = grants
    return found["bodies of 5 MB"]


def _large(server: Server, bodies: list[bytes], own: float) -> None:
    connection = server.connect()
    for query in ("&wait=true", ""):
        times = []
        for _ in range(3):
            started = time.perf_counter()
            for body in bodies:
                server.request(connection, "POST", f"/v0/events?name=clickstream_events{query}", body)
            times.append(time.perf_counter() - started)
        rate = ROWS / min(times)
        print(f"one client, bodies of 5 MB{query}: {rate:,.0f} rows/s, ratio {rate / own:.2f}", flush=True)


def _small(server: Server, rows: list[bytes]) -> None:
    """Print the rates of single events, as ratios to a route that reads a body and answers, and to one data source."""
    with serve_baseline() as baseline:
        nothing, _ = _rate(baseline, rows, "", NAMES[:1])
    print(f"{CLIENTS} clients, a route that reads the body: {nothing:,.0f} requests/s", flush=True)
    one = 0.0
    for query in ("", "&wait=true"):
        rate, busy = _rate(server, rows, query, NAMES[:1])
        one = one or rate
        print(
            f"{CLIENTS} clients, one event a request{query}: {rate:,.0f} events/s, ratio {rate / nothing:.2f}, "
            f"the event loop's thread is busy {busy:.0%} of the time",
            flush=True,
        )
    rate, _ = _rate(server, rows, "", NAMES[1:])
    print(
        f"the same over {len(NAMES) - 1} data sources: {rate:,.0f} events/s, ratio to one {rate / one:.2f}", flush=True
    )


def _rate(server: Server, rows: list[bytes], query: str, names: list[str]) -> tuple[float, float]:
    """Return how many events are answered a second, and which part of the time the event loop's thread is busy."""
    before, started = _loop_seconds(server.pid), time.perf_counter()
    sent = asyncio.run(_clients(server, rows, query, names))
    taken = time.perf_counter() - started
    return sent / taken, (_loop_seconds(server.pid) - before) / taken


async def _clients(server: Server, rows: list[bytes], query: str, names: list[str]) -> int:
    """Send single events for some seconds, each client its next when the last is answered; return how many.

    Clients take turns with the data sources.
    """
    parts = urlsplit(server.url)
    end = time.perf_counter() + SECONDS

    async def client(number: int) -> int:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        heads = [
            (
                f"POST /v0/events?name={name}{query} HTTP/1.1\r\nHost: x\r\n"
                f"Authorization: Bearer {server.token}\r\nContent-Length: "
            ).encode()
            for name in names
        ]
        sent = 0
        while time.perf_counter() < end:
            head = heads[(number + sent) % len(heads)]
            row = rows[(number * 1009 + sent) % len(rows)]
            writer.write(head + str(len(row)).encode() + b"\r\n\r\n" + row)
            answer = await reader.readuntil(b"}")
            if not answer.startswith(b"HTTP/1.1 20"):
                raise RuntimeError(answer.decode())
            sent += 1
        writer.close()
        return sent

    return sum(await asyncio.gather(*(client(n) for n in range(CLIENTS))))


def _visible(server: Server, rows: list[bytes]) -> None:
    """Print how long one event takes from being sent to being readable, on a server that does nothing else."""
    connection = server.connect()
    times = []
    for row in rows[:200]:
        started = time.perf_counter()
        server.request(connection, "POST", "/v0/events?name=clickstream_events&wait=true", row)
        times.append((time.perf_counter() - started) * 1000)
        time.sleep(0.01)
    times.sort()
    print(f"send to visible: p50 {statistics.median(times):.1f} ms, p99 {times[-2]:.1f} ms", flush=True)


def _flood(server: Server, bodies: list[bytes]) -> None:
    """Print the most memory the server took while many clients sent more than it can take in."""
    before = _memory(server.pid)
    refused, taken = asyncio.run(_flooding(server, bodies))
    print(
        f"a flood of {CLIENTS} clients with 5 MB bodies: {taken} taken, {refused} told to wait (503); "
        f"memory {before:,.0f} MB before, {_memory(server.pid):,.0f} MB at most",
        flush=True,
    )


async def _flooding(server: Server, bodies: list[bytes]) -> tuple[int, int]:
    parts = urlsplit(server.url)
    end = time.perf_counter() + SECONDS
    found = {b"503": 0, b"202": 0}

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        body = bodies[number % len(bodies)]
        head = (
            f"POST /v0/events?name=clickstream_events HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {server.token}\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        while time.perf_counter() < end:
            writer.write(head + body)
            answer = await reader.readuntil(b"}")
            found[answer[9:12]] += 1
        writer.close()

    await asyncio.gather(*(client(n) for n in range(CLIENTS)))
    return found[b"503"], found[b"202"]


def _loop_seconds(pid: int) -> float:
    """Return the processor seconds of a process's main thread, which runs the event loop."""
    fields = Path(f"/proc/{pid}/task/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _memory(pid: int) -> float:
    """Return the most memory a process has held, in MB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1000
