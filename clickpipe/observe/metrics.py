"""The server's metrics, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class _Now(Collector):
    """Gauges that are read when metrics are scraped."""

    def __init__(self, gauges: Mapping[str, tuple[str, Callable[[], float]]]) -> None:
        self._gauges = gauges

    def collect(self) -> list[GaugeMetricFamily]:
        return [GaugeMetricFamily(name, text, value=read()) for name, (text, read) in self._gauges.items()]


class Metrics:
    """Counters of one server. Methods may be called from any thread."""

    def __init__(self, gauges: Mapping[str, tuple[str, Callable[[], float]]]) -> None:
        """Start at zero; `gauges` maps names to a description and a function, called when metrics are scraped."""
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._registry.register(_Now(gauges))
        self._requests = Counter(
            "clickpipe_requests_total",
            "Requests by route and status.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "clickpipe_request_seconds", "How long requests took.", ["route"], buckets=_SECONDS, registry=self._registry
        )

        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request by its route's path, such as `/v0/pipes/{name}.{format}`."""
        key = (method, route, status)
        counters = self._known.get(key)
        if counters is None:  # cached: prometheus-client is slow at finding a counter by its labels
            counters = self._known[key] = self._requests.labels(*key), self._seconds.labels(route)
        counters[0].inc()
        counters[1].observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
