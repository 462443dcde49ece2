"""Starts a broker for tests, sends page views to it, and serves `kafka-clickstream`. Ctrl-C ends it."""

from __future__ import annotations

import json
import random
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from confluent_kafka import Producer

from examples.serving import serve

FOLDER = Path(__file__).parent / "kafka-clickstream"

PAGES = ("/", "/pricing", "/docs", "/docs/kafka", "/blog", "/blog/exactly-once", "/signup")
AT_ONCE, EVERY = 2_000, 0.5  # page views at the start; seconds between further ones


def page_view() -> bytes:
    """Return a message."""
    return json.dumps(
        {
            "viewed_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
            "visitor": f"visitor-{int(random.paretovariate(0.7)) % 5_000}",
            "page": random.choices(PAGES, weights=range(len(PAGES), 0, -1))[0],
            "milliseconds": int(random.lognormvariate(5, 0.7)),
        }
    ).encode()


def main(options: list[str]) -> int:
    """Run it with options of `clickpipe dev`; return the server's exit code."""
    broker = Producer({"test.mock.num.brokers": 1, "log_level": 2})  # a mock cluster within this process
    servers = ",".join(f"{one.host}:{one.port}" for one in broker.list_topics(timeout=30).brokers.values())

    def feed(stop: threading.Event) -> None:
        number = AT_ONCE
        while not stop.is_set():
            for _ in range(number):
                broker.produce("page_views", page_view())
            broker.flush(10)
            number = 5
            time.sleep(EVERY)

    return serve(FOLDER, {"STREAM_SERVERS": servers}, feed, options)
