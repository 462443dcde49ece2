"""What the known ways in are tried on."""

# ruff: noqa: E501 - datafiles
from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clickpipe.ingest import Lines
from clickpipe.runtime import Instance
from tests.server.conftest import Client

EVENTS = """SCHEMA >
    `id` UInt64 `json:$.id`,
    `tenant` String `json:$.tenant`,
    `val` String `json:$.val`

ENGINE "MergeTree"
ENGINE_PARTITION_KEY "tenant"
ENGINE_SORTING_KEY "id"
"""
OTHER = 'SCHEMA >\n    `id` UInt64 `json:$.id`,\n    `secret` String `json:$.secret`\n\nENGINE "MergeTree"\nENGINE_SORTING_KEY "id"\n'
NODE = "NODE n\nSQL >\n    %\n    {}\nTYPE endpoint\n"
CANARY, SECRET, FILE = "canary-of-other", "canary-of-the-secret", "canary-of-the-file"
FILES = {
    "datasources/ev.datasource": EVENTS,
    "datasources/other.datasource": OTHER,
    "pipes/oth.pipe": NODE.format("SELECT count() AS c FROM other"),
    "pipes/tens.pipe": NODE.format(
        "SELECT id, tenant, val FROM ev WHERE tenant = {{String(tenant, 'acme')}} ORDER BY id"
    ),
    "pipes/sec.pipe": NODE.format(
        "SELECT id, hex(HMAC('sha256', val, {{tb_secret('key')}})) AS h FROM ev ORDER BY id LIMIT 1"
    ),
}


@dataclass
class World:
    """A workspace, and what an attacker may have learned of it and of the host."""

    client: Client
    other: str  # the physical names that an attacker may have learned
    ev: str
    file: str
    port: int
    folder: Path
    knocks: list[str] = field(default_factory=list)

    def ask(self, method: str, path: str, token: str, **more: Any) -> Any:
        return self.client(
            method, path, None, headers={"Authorization": f"Bearer {token}", **more.pop("headers", {})}, **more
        )


@contextmanager
def known_world(instance: Instance, folder: Path) -> Iterator[World]:
    """A workspace with rows of three tenants, another table, a secret, a file of the host and a port that notes calls."""
    (folder / "passwd").write_text(FILE)
    workspace = instance.workspaces.create("known_ways")
    workspace.deploy(FILES)
    workspace.append("other", [Lines.of([json.dumps({"id": 1, "secret": CANARY}).encode()])])
    rows = [{"id": n, "tenant": t, "val": f"v-{t}"} for n, t in enumerate(("acme", "acme", "globex", "initech"), 1)]
    workspace.append("ev", [Lines.of(json.dumps(row).encode() for row in rows)])
    instance.catalog.secrets.put(workspace.id, "key", SECRET)
    live = workspace.live
    assert live is not None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        other, ev = (live.physical.tables[name].replace("`", "") for name in ("other", "ev"))
        found = World(Client(instance, workspace), other, ev, str(folder / "passwd"), listener.getsockname()[1], folder)
        threading.Thread(target=_listen, args=(listener, found.knocks), daemon=True).start()
        yield found
    instance.workspaces.delete(workspace)


def _listen(listener: socket.socket, knocks: list[str]) -> None:
    while True:
        try:
            wire, address = listener.accept()
        except OSError:
            return
        knocks.append(str(address))
        wire.close()
