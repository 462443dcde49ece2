"""A server under everything at once: reads, events, deployments, clients that go away. Nothing fails, nothing grows.

SOAK seconds (default 45); `make soak` runs it for ten minutes.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.conftest import python_environment
from tests.server.conftest import EVENTS, STRICT, TOTALS

pytestmark = pytest.mark.slow
SECONDS = float(os.environ.get("SOAK", "45"))
TOKEN = "t" * 40
SUMS = "SCHEMA >\n    id String,\n    total Int64\n\nENGINE SummingMergeTree\nENGINE_SORTING_KEY id\n"
SUMS_MV = "NODE n\nSQL >\n    SELECT id, toInt64(amount) AS total FROM events\nTYPE materialized\nDATASOURCE sums\n"
OF_SUMS = "NODE n\nSQL >\n    SELECT sum(total) AS s, count() AS c, {} AS version FROM sums\nTYPE endpoint\n"
SLOW = "NODE n\nSQL >\n    %\n    SELECT sum(cityHash64(number)) AS s FROM numbers({{UInt64(n, 1)}})\nTYPE endpoint\n"
FILES = {
    "datasources/events.datasource": EVENTS,
    "datasources/sums.datasource": SUMS,
    "pipes/sums_mv.pipe": SUMS_MV,
    "pipes/of_sums.pipe": OF_SUMS.format(0),
    "pipes/totals.pipe": TOTALS,
    "pipes/strict.pipe": STRICT,
    "pipes/slow.pipe": SLOW,
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """URL and process id of a server in a process of its own."""
    environment = python_environment() | {"CLICKPIPE_ADMIN_TOKEN": TOKEN}
    command = [sys.executable, "-m", "clickpipe", "serve", "--data-dir", str(tmp_path / "data"), "--port", "0"]
    errors = (tmp_path / "errors.log").open("wb")
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors) as process, errors:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        found = re.search(r" on (http://\S+) ", line)
        assert found, line
        try:
            yield found[1], process.pid
        finally:
            process.terminate()
            assert process.wait(timeout=60) == 0
    log = (tmp_path / "errors.log").read_text(encoding="utf-8")
    assert "Traceback" not in log, log[-5000:]
    assert "stopped; the data is in" in log


class Soak:
    """What the threads share: how long they go on, what was answered, how many rows were acknowledged."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.until = time.monotonic() + SECONDS
        self.answers: Counter[tuple[str, int]] = Counter()
        self.odd: list[str] = []
        self.rows = itertools.count()
        self.acknowledged = 0
        self.lock = threading.Lock()

    def going(self) -> bool:
        return time.monotonic() < self.until and not self.odd

    def note(self, kind: str, response: httpx.Response, expected: tuple[int, ...] = (200,)) -> None:
        with self.lock:
            self.answers[kind, response.status_code] += 1
            if response.status_code not in expected:
                self.odd.append(f"{kind}: {response.status_code} {response.text[:300]}")

    def read(self) -> None:
        rng = random.Random(1)
        with self._client() as client:
            while self.going():
                path, expected = rng.choice(
                    [
                        ("/v0/pipes/totals.json?limit=5", (200,)),
                        (f"/v0/pipes/totals.csv?least={rng.randrange(50)}", (200,)),
                        ("/v0/pipes/of_sums.ndjson", (200,)),
                        (f"/v0/pipes/strict.json?a=x&b={rng.choice(['1', 'no'])}", (200, 400)),
                        (f"/v0/pipes/slow.json?n={rng.randrange(3_000_000)}", (200,)),
                        ("/v0/sql?q=SELECT count() FROM events", (200,)),
                        ("/v0/sql?q=SELECT count() FROM tinybird.pipe_stats_rt", (200,)),
                        ("/metrics", (200,)),
                    ]
                )
                self.note("read", client.get(path), expected)

    def write(self) -> None:
        rng = random.Random(2)
        with self._client() as client:
            while self.going():
                rows = rng.choice([1, 1, 1, 50, 2000])
                lines = [
                    json.dumps({"id": f"k{rng.randrange(1000)}", "amount": 1, "at": "2026-01-01 00:00:00"})
                    for _ in range(rows)
                ]
                lines += ["{broken"] * rng.randrange(2)
                wait = rng.choice(["true", "false"])
                answer = client.post(f"/v0/events?name=events&wait={wait}", content="\n".join(lines))
                self.note("write", answer, (200, 202))
                with self.lock:
                    self.acknowledged += answer.json().get("successful_rows", 0)

    def deploy(self) -> None:
        with self._client() as client:
            for number in itertools.count(1):
                files = FILES | {"pipes/of_sums.pipe": OF_SUMS.format(number)}
                parts = [("data_project://", (name, text)) for name, text in files.items()]
                self.note("deploy", client.post("/v1/deploy?auto_promote=true", files=parts))
                for _ in range(50):
                    time.sleep(0.1)
                    if not self.going():
                        return

    def leave(self) -> None:
        """Ask for what takes long, and close the connection."""
        parts = urlsplit(self.url)
        head = f"GET /v0/pipes/slow.json?n={{}} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        for number in itertools.count(10_000_000_000):
            with socket.create_connection((parts.hostname or "", parts.port or 0)) as connection:
                connection.sendall(head.format(number).encode())
                time.sleep(0.05)
            time.sleep(0.2)
            if not self.going():
                return

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60)

    def guarded(self, work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                self.odd.append(f"{work.__name__}: {error!r}")
                raise

        return run


def usage(pid: int) -> tuple[float, int, int]:
    """Memory (MB), threads and open files of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    files = 0
    with contextlib.suppress(OSError):
        files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return int(fields["VmRSS"].split()[0]) / 1024, int(fields["Threads"]), files


def counted(client: httpx.Client) -> list[str]:
    return sorted(line for line in client.get("/metrics").text.splitlines() if line.startswith("clickpipe_queries_"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks at a process through /proc")
def test_nothing_fails_and_nothing_grows(server: tuple[str, int]) -> None:
    url, pid = server
    parts = [("data_project://", (name, text)) for name, text in FILES.items()]
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.post(f"{url}/v1/deploy?auto_promote=true", files=parts, headers=bearer, timeout=60).status_code == 200
    soak = Soak(url)
    work = [soak.read, soak.read, soak.read, soak.write, soak.write, soak.deploy, soak.leave]
    threads = [threading.Thread(target=soak.guarded(one), name=one.__name__) for one in work]
    for thread in threads:
        thread.start()
    seen: list[tuple[float, int, int]] = []
    while any(thread.is_alive() for thread in threads):
        seen.append(usage(pid))
        time.sleep(0.5)
    for thread in threads:
        thread.join()
    assert soak.odd == []
    assert {kind for kind, _ in soak.answers} == {"read", "write", "deploy"}
    with httpx.Client(base_url=url, headers=bearer, timeout=60) as client:
        client.post("/v0/events?name=events&wait=true", content='{"id":"end","amount":1,"at":"2026-01-01"}')
        total = client.get("/v0/pipes/of_sums.json").json()["data"][0]["s"]
        assert total == soak.acknowledged + 1
        none = ["clickpipe_queries_running 0.0", "clickpipe_queries_waiting 0.0"]
        until = time.monotonic() + 20  # an answer arrives before its query stops counting
        while (running := counted(client)) != none and time.monotonic() < until:
            time.sleep(0.05)
    assert running == none
    quarter = len(seen) // 4
    early, late = seen[quarter : 2 * quarter], seen[-quarter:]
    memory, threads_, files = ([statistics.median(s[k] for s in part) for part in (early, late)] for k in range(3))
    told = f"memory {memory} MB, threads {threads_}, files {files}, {sum(soak.answers.values())} answers {soak.answers}"
    print(told)  # noqa: T201 - `make soak` shows it
    assert memory[1] < memory[0] * 1.25 + 30, told
    assert threads_[1] <= threads_[0] + 4, told
    assert files[1] <= files[0] * 1.25 + 20, told
