"""Three tenants' rows, and who may read those of one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from clickpipe.ingest import Lines
from clickpipe.runtime import Instance
from tests.server.conftest import Client, get, sign

TENANTS = ("acme", "globex", "initech")
SCHEMA = """SCHEMA >
    `id` UInt64 `json:$.id`,
    `tenant` String `json:$.tenant`,
    `val` String `json:$.val`,
    `at` DateTime `json:$.at`

"""
FILES = {
    "datasources/parts.datasource": SCHEMA
    + 'ENGINE "MergeTree"\nENGINE_PARTITION_KEY "tenant"\nENGINE_SORTING_KEY "tenant, id"\n',
    "datasources/months.datasource": SCHEMA
    + 'ENGINE "MergeTree"\nENGINE_PARTITION_KEY "toYYYYMM(at)"\nENGINE_SORTING_KEY "id"\n',
    "datasources/newest.datasource": SCHEMA
    + 'ENGINE "ReplacingMergeTree"\nENGINE_PARTITION_KEY "tenant"\nENGINE_SORTING_KEY "tenant, id"\n',
    "datasources/again.datasource": SCHEMA
    + 'ENGINE "ReplacingMergeTree"\nENGINE_PARTITION_KEY "tenant"\nENGINE_SORTING_KEY "tenant, id"\n',
    "datasources/names.datasource": SCHEMA
    + 'ENGINE "Join"\nENGINE_JOIN_STRICTNESS "ANY"\nENGINE_JOIN_TYPE "LEFT"\nENGINE_KEY_COLUMNS "id"\n',
    "datasources/versions.datasource": "VERSION 2\n\n" + SCHEMA + 'ENGINE "MergeTree"\nENGINE_SORTING_KEY "id"\n',
    "pipes/plain.pipe": "NODE n\nSQL >\n    SELECT id, tenant, val, at FROM months\nTYPE endpoint\n",
    "pipes/joined.pipe": (
        "NODE n\nSQL >\n    SELECT n.val AS val FROM (SELECT toUInt64(number) AS id FROM numbers(9)) AS t "
        "ANY LEFT JOIN names AS n USING id\nTYPE endpoint\n"
    ),
    "pipes/fails.pipe": (
        "NODE n\nSQL >\n    %\n    SELECT count() AS n FROM months WHERE toInt32(val) = {{Int32(x, 0)}}\n"
        "TYPE endpoint\n"
    ),
    "pipes/version.pipe": "NODE n\nSQL >\n    SELECT val FROM versions\nTYPE endpoint\n",
}
SOURCES = ("parts", "months", "newest", "names", "again")
PIPES = ("plain", "joined", "fails")
OTHERS = ("globex", "initech")


@contextmanager
def tenants(instance: Instance, name: str) -> Iterator[Client]:
    """Three rows of `acme`, five of `globex`, seven of `initech` in each data source of a workspace."""
    workspace = instance.workspaces.create(name)
    empty = Client(instance, workspace)
    workspace.deploy(FILES)
    for source in (*SOURCES, "versions"):
        for number, tenant in enumerate(TENANTS):
            some = [
                {
                    "id": number * 100 + n,
                    "tenant": tenant,
                    "val": f"of-{tenant}-{n}",
                    "at": f"2026-0{number + 1}-01 00:00:00",
                }
                for n in range(3 + 2 * number)
            ]
            empty.workspace.append(source, [Lines.of(json.dumps(row).encode() for row in some)])
    again = {"id": 0, "tenant": "acme", "val": "later", "at": "2026-01-01 00:00:00"}
    workspace.append("again", [Lines.of([json.dumps(again).encode()])])
    yield empty
    instance.workspaces.delete(workspace)


def filtered(client: Client, *more: dict[str, Any]) -> str:
    scopes = [{"type": "DATASOURCES:READ", "resource": name, "filter": "tenant = 'acme'"} for name in SOURCES]
    scopes += [{"type": "PIPES:READ", "resource": name} for name in PIPES]
    return sign(client, *scopes, *more)


def ask(client: Client, value: str, q: str, **more: Any) -> Any:
    return get(client, "/v0/sql", value, q=q, **more)
