"""An endpoint over 1 M events through HTTP against the same SQL run directly on the engine."""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.events import ndjson
from benchmarks.serving import serve
from clickpipe.engine import Engine
from clickpipe.runtime import Instance
from clickpipe.template import BoundSQL

ROWS = 1_000_000
CALLS = 60
CLIENTS = 4
QUERIES: dict[str, dict[str, object]] = {
    "get_popular_pages": {"limit": 10},
    "get_user_journey": {"user_id": "u42"},
    "get_daily_pages": {"limit": 100},
}


def main() -> None:
    """Print medians and throughput, HTTP and engine, and their ratios."""
    with tempfile.TemporaryDirectory(prefix="clickpipe-bench-") as folder:
        data = Path(folder) / "data"
        through_http: dict[str, tuple[float, float]] = {}
        with serve(data, settings={"CLICKPIPE_CACHE_MAX_BYTES": "0"}) as server:
            connection = server.connect()
            started = time.perf_counter()
            for body in ndjson(ROWS):
                server.request(connection, "POST", "/v0/events?name=clickstream_events&wait=true", body)
            print(f"loaded {ROWS} events through /v0/events in {time.perf_counter() - started:.1f} s", flush=True)
            for name, values in QUERIES.items():
                path = f"/v0/pipes/{name}.json?" + "&".join(f"{k}={v}" for k, v in values.items())

                def call(path: str = path) -> Callable[[], object]:
                    own = server.connect()
                    return lambda: server.request(own, "GET", path)

                through_http[name] = _measure(call)
        with Instance(data) as instance:
            for name, values in QUERIES.items():
                live = instance.default.queries.live()
                bound = live.compiled.endpoints[name].bind_to(live.table, values)
                direct = _measure(lambda bound=bound: _direct(instance.engine, bound))  # type: ignore[misc]
                _report(name, through_http[name], direct)


def _direct(engine: Engine, bound: BoundSQL) -> Callable[[], object]:
    return lambda: engine.execute(bound.text, bound.params, output="JSON")


def _measure(make_call: Callable[[], Callable[[], object]]) -> tuple[float, float]:
    """Return the median seconds of one call after another, and calls a second of several clients at once."""
    call = make_call()
    for _ in range(20):
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
