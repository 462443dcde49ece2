"""A clickpipe server in a process of its own, for benchmarks that go through HTTP."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

PROJECT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Server:
    """A running server: its URL, an admin token, its process id, the port for ClickHouse's clients (0: none)."""

    url: str
    token: str
    pid: int
    clickhouse_port: int = 0

    def connect(self) -> http.client.HTTPConnection:
        """Return a new keep-alive connection."""
        parts = urlsplit(self.url)
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)

    def request(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes = b"", accept: str = ""
    ) -> bytes:
        """Send one request and return the body as it is sent. Raises RuntimeError for a status of 400 and above.

        `accept` is the encodings that may be used for it.
        """
        headers = {"Authorization": f"Bearer {self.token}", **({"Accept-Encoding": accept} if accept else {})}
        connection.request(method, path, body or None, headers)
        response = connection.getresponse()
        data = response.read()
        if response.status >= http.HTTPStatus.BAD_REQUEST:
            raise RuntimeError(f"{method} {path}: {response.status} {data[:500]!r}")
        return data


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


@contextmanager
def serve(
    data_dir: Path, project: Path = PROJECT, settings: Mapping[str, str] | None = None, port: int = 0
) -> Iterator[Server]:
    """Start `clickpipe serve` on a loopback port, a free one unless told, with a project deployed; stop it afterwards.

    `settings` are by the names of their environment variables.
    """
    port = port or free_port()
    token = secrets.token_urlsafe(24)
    command = [sys.executable, "-m", "clickpipe", "serve", "--data-dir", str(data_dir), "--port", str(port)]
    environment = {**os.environ, "CLICKPIPE_ADMIN_TOKEN": token, **(settings or {})}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = Server(f"http://127.0.0.1:{port}", token, process.pid)
    try:
        wait(server, process)
        deploy = [sys.executable, "-m", "clickpipe", "deploy", str(project), "--host", server.url, "--token", token]
        subprocess.run(deploy, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        yield server
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def wait(server: Server, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server answers. Raises RuntimeError when it ends before, or does not within 30 s."""
    for _ in range(300):
        if process.poll() is not None:
            raise RuntimeError("the server ended before it listened")
        try:
            json.loads(server.request(server.connect(), "GET", "/v0/health"))
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("the server did not listen within 30 s")
