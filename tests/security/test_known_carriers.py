"""Ways in that worked on an earlier build: tokens in what is kept of requests, small files that become large ones.

Each variant of a kind works in another way; README.md beside this file says which tests try which kind.
"""

# ruff: noqa: E501 - tables of attacks
from __future__ import annotations

import base64
import gzip
import io
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import zstandard

from clickpipe.auth import ADMIN_TOKEN
from tests.security.known import World
from tests.server.conftest import make

# 09: where a token may stand in a request, and be told by what is kept of it. `{}` is the token.
CARRIED: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/?user=x&password={}&query=SELECT%201", {}),
    ("GET", "/?user={}&query=SELECT%201", {}),
    ("GET", "/?pass%77ord={}&query=SELECT%201", {}),
    ("GET", "/?PASSWORD={}&query=SELECT%201&token=x", {}),
    ("POST", "/?password={}", {"content": b"SELECT nope"}),
    ("GET", "/v0/pipes/tens.json?token={}", {}),
    ("GET", "/v0/pipes/tens.json?tok%65n={}&tenant=x", {}),
    ("GET", "/v0/pipes/tens.json?tenant={}", {"bearer": True}),
    ("GET", "/v0/pipes/tens.json?q=SELECT+%27{}%27+FROM+nope", {"bearer": True}),
    ("POST", "/v0/pipes/tens.json", {"bearer": True, "data": {"tenant": "{}", "token": "{}"}}),
    ("GET", "/v0/pipes/none.json?token={}&password={}", {}),
    ("GET", "/v0/sql?token={}&q=SELECT+1", {}),
    ("GET", "/v0/pipes/tens.json", {"bearer": True, "headers": {"User-Agent": "me {}", "Referer": "http://a/?token={}"}}),
    ("POST", "/", {"content": b"SELECT 1", "headers": {"X-ClickHouse-Key": "{}", "X-ClickHouse-User": "u"}}),
    ("POST", "/", {"content": b"SELECT 1", "headers": {"Authorization": "Basic {basic}"}}),
    ("GET", "/v0/tokens/{}", {"bearer": True}),
    ("POST", "/v0/datasources?mode=append&name=ev&url=http%3A%2F%2F127.0.0.1%3A9%2F%3Ftoken%3D{}%26password%3D{}", {"bearer": True}),
    ("GET", "/?param_x={}&query=SELECT%20%7Bx%3AUInt8%7D", {"bearer_key": True}),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(CARRIED)))
def test_no_service_data_source_tells_a_token(known: World, number: int) -> None:
    client = known.client
    admin = client.token(ADMIN_TOKEN).value
    method, path, more = CARRIED[number]
    basic = base64.b64encode(f"u:{admin}".encode()).decode()

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: filled(one) for name, one in value.items()}
        return value.replace("{basic}", basic).replace("{}", admin) if isinstance(value, str) else value

    headers = filled(more.get("headers", {}))
    headers |= {"Authorization": f"Bearer {admin}"} if more.get("bearer") else {}
    headers |= {"X-ClickHouse-Key": admin} if more.get("bearer_key") else {}
    sent = {name: filled(more[name]) for name in ("data", "content") if name in more}
    reply = client(method, path.replace("{}", admin), None, headers=headers, **sent)
    assert reply.status_code < 500
    for job in client.instance.catalog.jobs.newest(client.workspace.id):
        client.instance.jobs.wait(job.id, 20)
    client.instance.service_log.flush()
    reader = make(client, "WORKSPACE:READ_ALL", name=f"all{number}")
    for source in ("pipe_stats_rt", "endpoint_errors", "jobs_log", "datasources_ops_log", "pipe_stats"):
        told = known.ask("GET", f"/v0/sql?q=SELECT+toString(tuple(*))+FROM+tinybird.{source}+FORMAT+TSVRaw", reader)
        assert told.status_code == 200, told.text
        assert admin not in told.text
        assert quote(admin, safe="") not in told.text
        assert basic not in told.text


# 13: small files that become large ones.
def _one_value(size: int) -> bytes:
    return b'{"id":1,"tenant":"' + b"x" * size + b'"}'


SIZE = 20_000_000
BODIES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "one value": ("json", lambda: _one_value(SIZE)),
    "one line": ("ndjson", lambda: _one_value(SIZE)),
    "many keys": ("ndjson", lambda: b"{" + b'"a":1,' * (SIZE // 6) + b'"id":1}'),
    "nested": ("json", lambda: b"[" * 1_000_000 + b"]" * 1_000_000),
    "one cell": ("csv", lambda: b'1,"' + b"x" * SIZE + b'",a\n'),
    "an open quote": ("csv", lambda: b'1,"' + b"\n" * SIZE),
    "empty objects": ("json", lambda: b"[" + b"{}," * (SIZE // 3) + b"{}]"),
    "few empty objects": ("json", lambda: b"[" + b"{}," * 2_000_000 + b"{}]"),
    "empty lines of objects": ("ndjson", lambda: b"{}\n" * (SIZE // 3)),
    "rows of a digit": ("csv", lambda: b"1\n" * (SIZE // 2)),
    "rows of quotes": ("csv", lambda: b'"1",\n' * (SIZE // 5)),
    "blank lines": ("ndjson", lambda: b"\n" * SIZE),
    "no format": ("parquet", lambda: b"PAR1" + b"\0" * SIZE + b"PAR1"),
}  # fmt: skip


def _packed(body: bytes, encoding: str) -> bytes:
    if encoding == "zstd":
        return zstandard.compress(body)
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as file:
        file.write(body)
    return packed.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("what", BODIES)
def test_a_small_file_takes_little_memory(known: World, what: str) -> None:
    format_, body = BODIES[what]
    number = sorted(BODIES).index(what)
    encoding = ("gzip", "zstd")[number % 2]
    packed = _packed(body(), encoding)
    token = make(known.client, "DATASOURCES:APPEND:ev", name=f"append{number}")
    resident = _resident()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = f"/v0/datasources?mode=append&name=ev&format={format_}"
    reply = known.ask("POST", path, token, content=packed, headers={"Content-Encoding": encoding})
    assert reply.status_code < 500, reply.text
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    most = 1_000_000 if "s of " in what or "empty" in what else 300_000  # many rows: it was four times that
    assert peak - max(before, resident) < most, f"{len(packed)} bytes: {before} to {peak} kB"
    assert known.ask("GET", "/v0/health", token).status_code == 200


def _resident() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS")))
