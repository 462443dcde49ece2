"""Generated events for benchmarks: the example project's columns, seeded."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

FIELDS = (
    "event_id",
    "user_id",
    "session_id",
    "event_type",
    "page_url",
    "page_title",
    "referrer",
    "timestamp",
    "device_type",
    "browser",
    "properties",
)
_PAGES = [f"/product/{n}" for n in range(200)] + ["/", "/cart", "/checkout"]


def ndjson(rows: int, body_rows: int = 20_000, seed: int = 1, months: int = 12) -> Iterator[bytes]:
    """Yield NDJSON bodies of up to `body_rows` events each, `rows` in all; the same for the same seed.

    They lie in `months` months of 2023, from January on.
    """
    rng = random.Random(seed)
    for first in range(0, rows, body_rows):
        count = min(body_rows, rows - first)
        yield b"\n".join(_event(first + n, rng, months) for n in range(count))


def _event(number: int, rng: random.Random, months: int) -> bytes:
    second = rng.randrange(365 * 86_400)
    day, clock = divmod(second, 86_400)
    month, date = divmod(day, 31)
    user = rng.randrange(10_000)
    event = {
        "event_id": f"e{number:08d}",
        "user_id": f"u{user}",
        "session_id": f"s{user}-{day}",
        "event_type": rng.choice(["page_view", "page_view", "page_view", "click", "purchase"]),
        "page_url": rng.choice(_PAGES),
        "page_title": "A page",
        "referrer": "https://example.com/",
        "timestamp": f"2023-{month % months + 1:02d}-{min(date + 1, 28):02d} "
        f"{clock // 3600:02d}:{clock // 60 % 60:02d}:{clock % 60:02d}",
        "device_type": rng.choice(["desktop", "mobile"]),
        "browser": rng.choice(["Firefox", "Chrome", "Safari"]),
        "properties": '{"ab":"b"}',
    }
    return json.dumps(event, separators=(",", ":")).encode()
