"""A route that reads a POST's body and answers 202: what single events are held against."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from benchmarks.serving import Server, free_port, wait


async def _taken(request: Request) -> JSONResponse:
    await request.body()
    return JSONResponse({"successful_rows": 1, "quarantined_rows": 0}, status_code=202)


app = Starlette(routes=[Route("/v0/events", _taken, methods=["POST"]), Route("/v0/health", lambda _: JSONResponse({}))])


@contextmanager
def serve_baseline() -> Iterator[Server]:
    """Serve the route in a process of its own, by the same HTTP server with the same loop."""
    port = free_port()
    uvicorn = [sys.executable, "-m", "uvicorn", "benchmarks.baseline:app", "--port", str(port), "--no-access-log"]
    quiet = ["--log-level", "warning", "--loop", "uvloop", "--http", "httptools", "--lifespan", "off"]
    process = subprocess.Popen([*uvicorn, *quiet])
    try:
        server = Server(f"http://127.0.0.1:{port}", "none", process.pid)
        wait(server, process)
        yield server
    finally:
        process.terminate()
        process.wait(30)
