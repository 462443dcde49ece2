"""A schema registry in this process, and messages in its form."""

from __future__ import annotations

import contextlib
import json
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class SchemaRegistry:
    """Answers for the schemas that it is given; `status` other than 0 is what it fails with."""

    def __init__(self) -> None:
        self.schemas: dict[int, dict[str, Any]] = {}
        self.versions: dict[tuple[str, int], dict[str, Any]] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.status = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append((self.path, self.headers["Authorization"]))
                status, answer = outer.answer(self.path)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.host}"

    def add(self, number: int, schema: Any, **more: Any) -> None:
        self.schemas[number] = {"schema": json.dumps(schema), **more}

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        if self.status:
            return self.status, {"error_code": 50001, "message": "no"}
        parts = path.split("/")[1:]
        if parts[0] == "schemas":
            found = self.schemas.get(int(parts[2]))
            return (200, found) if found else (404, {"error_code": 40403, "message": "Schema not found"})
        found = self.versions.get((parts[1], int(parts[3])))
        return (200, found) if found else (404, {"error_code": 40401, "message": "Subject not found"})


@contextlib.contextmanager
def registry() -> Iterator[SchemaRegistry]:
    made = SchemaRegistry()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        thread.join()
        made.server.server_close()


def long(number: int) -> bytes:
    """A number as Avro writes it."""
    left, out = (number << 1) ^ (number >> 63), b""
    while left > 127:
        out += bytes([left & 127 | 128])
        left >>= 7
    return out + bytes([left])


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return long(len(data)) + data


def framed(number: int, data: bytes) -> bytes:
    return struct.pack(">bI", 0, number) + data


def record(*fields: tuple[str, Any], name: str = "R", **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": n, "type": t} for n, t in fields], **more}


EVENT = record(("id", "string"), ("n", "int"))


def event(name: str, number: int = 1, schema: int = 1) -> bytes:
    return framed(schema, text(name) + long(number))
