"""Calls all of a deployed project: events in, endpoints, copies, views, quarantine, service data sources."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any
from urllib.parse import quote

import httpx

from clickpipe.compiler import SERVED
from clickpipe.ingest import mock_rows
from clickpipe.project import load_texts

_UNTIL = datetime(2026, 1, 31, 12)  # noqa: DTZ001 - as ClickHouse has times
_VALUES = (
    "1",
    "x",
    "a,b",
    "2026-01-01",
    "2026-01-01 00:00:00",
    "' OR 1 --",
    "{{tb_secret('key')}}",
    "../passwd",
    "%00",
    "-1",
    "",
)
_ENDINGS = ("json", "json", "csv", "ndjson", "parquet", "prometheus", "pipe")
_ENDED = {"done", "error", "cancelled"}


@dataclass(frozen=True)
class Said:
    """An answer; `rows` where it is what the project's authors had computed, secrets too if they wish so."""

    where: str
    status: int
    text: str
    rows: bool = False


class Caller:
    """Calls a workspace with its admin token."""

    def __init__(self, client: httpx.Client, url: str, token: str) -> None:
        """Know where to call, and as whom."""
        self._client = client
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}

    def become(self, token: str) -> None:
        """Call with another token from now on."""
        self._headers = {"Authorization": f"Bearer {token}"}

    def ask(self, method: str, path: str, *, rows: bool = False, **more: Any) -> Said:
        """Ask; an answer that breaks off has the status 0."""
        try:
            reply = self._client.request(method, self._url + path, headers=self._headers, **more)
        except httpx.RemoteProtocolError as error:  # a result in parts that failed on its way
            return Said(f"{method} {path}", 0, str(error), rows)
        except httpx.TransportError as error:
            return Said(f"{method} {path}", 500, f"no answer: {error!r}")
        text = reply.content.decode("utf-8", "replace") + str(dict(reply.headers))
        return Said(f"{method} {path}", reply.status_code, text, rows and reply.status_code == 200)

    def deploy(self, files: Mapping[str, str], *, promoted: bool, check: bool = False) -> Said:
        """Deploy files: live, in staging, or just the plan."""
        parts = [("data_project://", (name, text)) for name, text in files.items()]
        query = f"auto_promote={str(promoted).lower()}&check={str(check).lower()}&allow_destructive_operations=true"
        return self.ask("POST", f"/v1/deploy?{query}", files=parts)

    def ended(self, said: Said) -> Iterator[Said]:
        """Yield an answer that started a job, and the job when it has ended."""
        yield said
        if said.status not in {200, 202}:
            return
        started = json.JSONDecoder().raw_decode(said.text)[0]
        job = started.get("job", started).get("job_id") or started.get("id")
        for _ in range(600):
            found = self.ask("GET", f"/v0/jobs/{job}")
            if found.status != 200 or json.JSONDecoder().raw_decode(found.text)[0]["status"] in _ENDED:
                yield found
                return
            time.sleep(0.02)
        yield Said(f"job {job}", 500, "the job does not end")


def use(caller: Caller, files: Mapping[str, str], number: int) -> Iterator[Said]:
    """Yield what is told when a project's parts are used."""
    random = Random(number)
    sources, pipes = caller.ask("GET", "/v0/datasources"), caller.ask("GET", "/v0/pipes")
    yield from (sources, pipes)
    for source in _listed(sources, "datasources"):
        yield from _of_source(caller, str(source["name"]), files, random)
    for pipe in _listed(pipes, "pipes"):
        yield from _of_pipe(caller, pipe, random)
    names = sorted(SERVED)
    for name in (random.choice(names), "pipe_stats_rt"):
        yield caller.ask("GET", f"/v0/sql?q={quote(f'SELECT * FROM tinybird.{name} FORMAT JSON')}")
    paths = (
        "/v0/pipes/openapi.json",
        "/v0/dependencies",
        "/v1/deployments",
        "/metrics",
        "/v0/jobs",
        "/v0/tokens",
        "/v0/ready",
    )
    yield caller.ask("GET", random.choice(paths))


def settle(caller: Caller, said: Said, number: int) -> Iterator[Said]:
    """Yield what is told when a deployment that waits is promoted, read before, or discarded."""
    deployment = json.JSONDecoder().raw_decode(said.text)[0]["deployment"]["id"]
    yield caller.ask("GET", f"/v1/deployments/{deployment}")
    yield caller.ask("GET", "/v0/sql?__tb__deployment=staging&q=SELECT+1+AS+a+FORMAT+JSON")
    if number % 3:
        yield caller.ask("POST", f"/v1/deployments/{deployment}/set-live")
    else:
        yield caller.ask("DELETE", f"/v1/deployments/{deployment}")


def _listed(said: Said, key: str) -> list[dict[str, Any]]:
    if said.status != 200:
        return []
    found: list[dict[str, Any]] = json.JSONDecoder().raw_decode(said.text)[0][key]
    return found


def _of_source(caller: Caller, name: str, files: Mapping[str, str], random: Random) -> Iterator[Said]:
    path = quote(name, safe="")
    for body in (_row(name, files, random), b"{}", b'{"id":"x","more":[{"a":"../passwd"}],"at":"never","n":1e99}'):
        yield caller.ask("POST", f"/v0/events?name={path}&wait=true", content=body)
    yield caller.ask("GET", f"/v1/datasources/{path}/quarantine")
    yield caller.ask("GET", f"/v0/datasources/{path}{random.choice(('', '.datasource'))}")
    table = f"`{name}{random.choice(('', '_quarantine'))}`"
    yield caller.ask("GET", f"/v0/sql?q={quote(f'SELECT * FROM {table} LIMIT 5 FORMAT JSON')}", rows=True)
    if random.random() < 0.1:
        condition = quote(random.choice(("1", "id = file('x')", "id IN (SELECT val FROM other)", "nope = 1")))
        yield from caller.ended(caller.ask("POST", f"/v0/datasources/{path}/delete?delete_condition={condition}"))
    if random.random() < 0.1:
        yield from caller.ended(caller.ask("POST", f"/v1/datasources/{path}/quarantine/replay"))


def _row(name: str, files: Mapping[str, str], random: Random) -> bytes:
    try:
        source = load_texts(files).data_sources[name]
        rows = list(mock_rows(source, 1, random.randrange(100), _UNTIL))
        return json.dumps(rows[0], default=str).encode()
    except Exception:  # noqa: BLE001 - there is none that fits: the type is known to the server alone
        return b'{"id":1}'


def _of_pipe(caller: Caller, pipe: Mapping[str, Any], random: Random) -> Iterator[Said]:
    path = quote(str(pipe["name"]), safe="")
    yield caller.ask("GET", f"/v0/pipes/{path}")
    if pipe["type"] == "copy":
        yield from caller.ended(caller.ask("POST", f"/v0/pipes/{path}/copy"))
    elif pipe["type"] == "materialized":
        node = quote(str(pipe["nodes"][-1]["name"]), safe="")
        ways = (f"/v1/materializations/{path}/populate", f"/v0/pipes/{path}/nodes/{node}/population?truncate=true")
        yield from caller.ended(caller.ask("POST", random.choice(ways)))
    elif pipe["type"] == "endpoint":
        usual = {p["name"]: p["default"] or p["example"] or "1" for p in pipe["parameters"]}
        for values in (usual, {name: random.choice(_VALUES) for name in usual}):
            ending = random.choice(_ENDINGS)
            yield caller.ask("GET", f"/v0/pipes/{path}.{ending}", params=values, rows=ending != "pipe")
        more = (
            "/explain",
            ".json?explain=true",
            ".json?q=SELECT+toTypeName(*)+FROM+_",
            ".json?q=SELECT+*+FROM+_+WHERE+nope",
        )
        yield caller.ask("GET", f"/v0/pipes/{path}{random.choice(more)}", rows="_+WHERE" not in more)
