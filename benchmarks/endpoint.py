"""Endpoints and `/v0/sql` over 1 M events through HTTP against the same SQL run directly on the engine."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from urllib.parse import quote

from benchmarks import compression
from benchmarks.events import ndjson
from benchmarks.serving import Server, serve
from clickpipe.engine import Engine
from clickpipe.runtime import Instance
from clickpipe.template import BoundSQL

ROWS = 1_000_000
ROUNDS = 5
CALLS = 60
CLIENTS = 4
QUERIES: dict[str, dict[str, object]] = {
    "get_popular_pages": {"limit": 10},
    "get_user_journey": {"user_id": "u42"},
    "get_daily_pages": {"limit": 100},
}
SQL = "SELECT count() AS events, uniq(user_id) AS users FROM {} WHERE session_id = 's{}'"  # a text is asked once
FILTER = "user_id != 'u42'"


def main() -> None:
    """Print medians and throughput, HTTP and engine, and their ratios; before, what compression costs and saves.

    Server and engine have a copy of the data each, all parts merged, and are measured in turns: a machine's speed
    drifts.
    """
    with tempfile.TemporaryDirectory(prefix="clickpipe-bench-") as folder:
        data, copy = Path(folder) / "data", Path(folder) / "copy"
        with serve(data) as server:
            connection = server.connect()
            started = time.perf_counter()
            for body in ndjson(ROWS):
                server.request(connection, "POST", "/v0/events?name=clickstream_events&wait=true", body)
            print(f"loaded {ROWS} events through /v0/events in {time.perf_counter() - started:.1f} s", flush=True)
        merging = multiprocessing.get_context("spawn").Process(target=_merge, args=(data,))
        merging.start()
        merging.join()
        shutil.copytree(data, copy, symlinks=True)
        with serve(data, settings={"CLICKPIPE_CACHE_MAX_BYTES": "0"}) as server, Instance(copy) as instance:
            compression.report(server)
            for name, values in QUERIES.items():
                path = f"/v0/pipes/{name}.json?" + "&".join(f"{k}={v}" for k, v in values.items())
                live = instance.default.queries.live()
                bound = live.compiled.endpoints[name].bind_to(live.table, values)
                _report(name, *_in_turns(partial(_over_http, server, path), partial(_direct, instance.engine, bound)))
            table = instance.default.queries.live().table("clickstream_events")
            assert table is not None
            for name, asker, asked in (("/v0/sql", server, ""), ("/v0/sql, rows filtered", _filtered(server), FILTER)):
                over_http = partial(_sql_over_http, asker, count())
                _report(name, *_in_turns(over_http, partial(_sql_direct, instance.engine, table, asked, count())))


def _merge(data: Path) -> None:
    with Instance(data) as instance:
        for table in instance.default.queries.live().physical.tables.values():
            instance.engine.execute(f"OPTIMIZE TABLE {table} FINAL")


def _over_http(server: Server, path: str) -> Callable[[], object]:
    own = server.connect()
    return lambda: server.request(own, "GET", path)


def _direct(engine: Engine, bound: BoundSQL) -> Callable[[], object]:
    return lambda: engine.execute(bound.text, bound.params, output="JSON")


def _filtered(server: Server) -> Server:
    """Return the server with a token that may read some of the rows."""
    scope = quote(f"DATASOURCES:READ:clickstream_events:{FILTER}")
    body = server.request(server.connect(), "POST", f"/v0/tokens?name=filtered&scope={scope}")
    return replace(server, token=json.loads(body)["token"])


def _sql_over_http(server: Server, numbers: Iterator[int]) -> Callable[[], object]:
    own = server.connect()

    def call() -> object:
        text = quote(SQL.format("clickstream_events", next(numbers)) + " FORMAT JSON")
        return server.request(own, "GET", f"/v0/sql?q={text}")

    return call


def _sql_direct(engine: Engine, table: str, condition: str, numbers: Iterator[int]) -> Callable[[], object]:
    rows = f"(SELECT * FROM {table} WHERE {condition})" if condition else table
    return lambda: engine.execute(SQL.format(rows, next(numbers)), output="JSON")


def _in_turns(*make_calls: Callable[[], Callable[[], object]]) -> list[tuple[float, float]]:
    """Return of each its median seconds, and its calls a second with several clients: the median of the rounds."""
    rounds = [[_measure(make_call) for make_call in make_calls] for _ in range(ROUNDS)]
    return [
        (statistics.median(found[0] for found in one), statistics.median(found[1] for found in one))
        for one in zip(*rounds, strict=True)
    ]


def _measure(make_call: Callable[[], Callable[[], object]]) -> tuple[float, float]:
    """Return the median seconds of one call after another, and calls a second of several clients at once."""
    call = make_call()
    for _ in range(CALLS // 10):
        call()
    times = []
    for _ in range(CALLS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    calls = [make_call() for _ in range(CLIENTS)]

    def client(one: Callable[[], object]) -> None:
        for _ in range(CALLS // CLIENTS):
            one()

    threads = [threading.Thread(target=client, args=(one,)) for one in calls]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statistics.median(times), CALLS / (time.perf_counter() - started)


def _report(name: str, http: tuple[float, float], direct: tuple[float, float]) -> None:
    print(
        f"{name}: median {http[0] * 1000:.2f} ms over HTTP, {direct[0] * 1000:.2f} ms on the engine "
        f"(ratio {direct[0] / http[0]:.2f}, {(http[0] - direct[0]) * 1000:+.2f} ms); "
        f"{CLIENTS} clients: {http[1]:.0f} against {direct[1]:.0f} calls/s (ratio {http[1] / direct[1]:.2f})",
        flush=True,
    )
