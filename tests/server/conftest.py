"""A server in the process: one instance for all tests, a workspace of its own for each."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from clickpipe.catalog import Token
from clickpipe.ingest import Lines
from clickpipe.runtime import Instance, Workspace
from clickpipe.server import create_app, serve_in_thread

EVENTS = """\
TOKEN "writer" APPEND

SCHEMA >
    id String `json:$.id`,
    amount Int32 `json:$.amount`,
    at DateTime `json:$.at`

ENGINE MergeTree
ENGINE_SORTING_KEY at
"""

TOTALS = """\
TOKEN "reader" READ

NODE totals
SQL >
    %
    SELECT id, sum(amount) AS total
    FROM events
    WHERE amount >= {{Int32(least, 0)}}
    {% if defined(ids) %} AND id IN {{Array(ids, 'String')}} {% end %}
    GROUP BY id
    ORDER BY id
    LIMIT {{Int32(limit, 10)}}
TYPE endpoint
"""

STRICT = """\
NODE strict
SQL >
    %
    SELECT {{String(a)}} AS a, {{Int32(b)}} AS b
TYPE endpoint
"""

SNAPSHOT = """\
NODE snapshot
SQL >
    SELECT id, toInt32(sum(amount)) AS amount, max(at) AS at FROM events GROUP BY id
TYPE copy
TARGET_DATASOURCE totals_copy
COPY_MODE replace
"""

FILES = {
    "datasources/events.datasource": EVENTS,
    "datasources/totals_copy.datasource": EVENTS.replace('TOKEN "writer" APPEND\n', ""),
    "pipes/totals.pipe": TOTALS,
    "pipes/strict.pipe": STRICT,
    "pipes/snapshot.pipe": SNAPSHOT,
}
SOON = int(time.time()) + 86_400  # from when the module is read: a run takes longer than some minutes


@dataclass
class Client:
    """Calls the application as a client would, with a token in the header unless told otherwise."""

    instance: Instance
    workspace: Workspace

    def token(self, name: str) -> Token:
        return next(t for t in self.instance.catalog.tokens.all(self.workspace.id) if t.name == name)

    def __call__(
        self, method: str, path: str, token: str | None = "workspace admin token", **more: Any
    ) -> httpx.Response:
        headers = dict(more.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {self.token(token).value}"

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(create_app(self.instance), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, headers=headers, **more)

        return asyncio.run(send())


def make(client: Client, *scopes: str, name: str = "made", **more: Any) -> str:
    response = client("POST", "/v0/tokens", params={"name": name, "scope": list(scopes), **more})
    assert response.status_code == 200, response.text
    return str(response.json()["token"])


def sign(client: Client, *scopes: dict[str, Any], name: str = "browser", **more: Any) -> str:
    params = {"name": name, "expiration_time": SOON}
    response = client("POST", "/v0/tokens", params=params, json={"scopes": list(scopes), **more})
    assert response.status_code == 200, response.text
    return str(response.json()["token"])


def get(client: Client, path: str, value: str, **params: Any) -> Any:
    return client("GET", path, token=None, params=params, headers={"Authorization": f"Bearer {value}"})


@contextmanager
def filled(
    instance: Instance, name: str, files: Mapping[str, str], rows: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Iterator[Client]:
    """Give a workspace with files deployed, and rows in its data sources."""
    workspace = instance.workspaces.create(name)
    workspace.deploy(files)
    for source, own in rows.items():
        workspace.append(source, [Lines.of(json.dumps(row).encode() for row in own)])
    yield Client(instance, workspace)
    instance.workspaces.delete(workspace)


@pytest.fixture(scope="session")
def server_instance() -> Iterator[Instance]:
    with Instance(None) as instance:
        yield instance


@pytest.fixture
def default(server_instance: Instance) -> Client:
    """The default workspace, where nothing is deployed."""
    return Client(server_instance, server_instance.default)


@pytest.fixture
def empty(server_instance: Instance) -> Iterator[Client]:
    """A workspace with nothing deployed."""
    workspace = server_instance.workspaces.create(f"test_{uuid.uuid4().hex}")
    yield Client(server_instance, workspace)
    server_instance.workspaces.delete(workspace)


@pytest.fixture
def client(empty: Client) -> Client:
    """A workspace with the files above deployed and three events in it."""
    empty.workspace.deploy(FILES)
    empty.workspace.ingest(
        "events",
        [
            {"id": "a", "amount": 1, "at": "2026-01-01 00:00:00"},
            {"id": "b", "amount": 2, "at": "2026-01-01 00:00:00"},
            {"id": "a", "amount": 3, "at": "2026-01-02 00:00:00"},
        ],
    )
    return empty


@pytest.fixture
def port(empty: Client) -> Iterator[int]:
    """A server on a real socket."""
    with serve_in_thread(empty.instance) as url:
        yield int(url.rsplit(":", 1)[1])
