"""Three tenants' rows, other tables, another workspace, a secret and a file of the host, all with canaries.

`World.twins` are tokens of a workspace that holds one tenant's rows alone: what a token that may read those is told has
to be the same there.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from clickpipe.ingest import Lines
from clickpipe.runtime import Instance, Workspace
from clickpipe.server import create_app
from tests.security.sql_writer import Known

TENANTS = ("acme", "globex", "initech")
CANARIES = {
    "acme": "canary-of-acme-5d10c7e2f9",
    "globex": "canary-of-globex-8b41e06ad3",
    "initech": "canary-of-initech-2f97b3c85e",
    "other": "canary-of-other-c36a0e914d",
    "own": "canary-of-own-71e4d8f20b",
    "foreign": "canary-of-foreign-e90b57a1c6",
    "secret": "canary-of-secret-4a8d2c6fb1",
    "file": "canary-of-file-b7f3590ce8",
}
ROWS = frozenset(TENANTS)

SCHEMA = """SCHEMA >
    `id` UInt64 `json:$.id`,
    `tenant` String `json:$.tenant`,
    `val` String `json:$.val`

"""
EVENTS = SCHEMA + 'ENGINE "MergeTree"\nENGINE_PARTITION_KEY "tenant"\nENGINE_SORTING_KEY "id"\n'
FLAT = SCHEMA + (
    'ENGINE "MergeTree"\nENGINE_SORTING_KEY "id"\n'
    'ENGINE_SETTINGS "index_granularity=2, min_bytes_for_wide_part=0, min_rows_for_wide_part=0"\n'
)
JOINED = SCHEMA + ('ENGINE "Join"\nENGINE_JOIN_STRICTNESS "ANY"\nENGINE_JOIN_TYPE "LEFT"\nENGINE_KEY_COLUMNS "id"\n')


def _pipe(sql: str) -> str:
    return f"NODE n\nSQL >\n    %\n    {sql}\nTYPE endpoint\n"


FILES = {
    "datasources/events.datasource": EVENTS,
    "datasources/flat.datasource": FLAT,
    "datasources/keyed.datasource": JOINED,
    "datasources/other.datasource": f"VERSION 0\n\n{EVENTS}",
    "datasources/own.datasource": FLAT,
    "datasources/spare.datasource": FLAT,
    "pipes/mine.pipe": "NODE every\nSQL >\n    SELECT * FROM events\n\n"
    + _pipe("SELECT id, tenant, val FROM every WHERE tenant = {{String(tenant, 'acme')}}"),
    "pipes/wide.pipe": "VERSION 2\n\nNODE broad\nSQL >\n    SELECT * FROM flat\n\n"
    + _pipe("SELECT id, tenant, val FROM broad WHERE tenant = {{String(tenant, 'acme')}}"),
    "pipes/acmes.pipe": _pipe("SELECT id, tenant, val FROM flat WHERE tenant = 'acme'"),
    "pipes/sec.pipe": _pipe(
        "SELECT id, hex(HMAC('sha256', toString(id), {{tb_secret('key')}})), "
        "cityHash64({{tb_secret('key')}}) FROM events"
    ),
    "pipes/oth.pipe": _pipe("SELECT count() AS c FROM other"),
    "pipes/names.pipe": _pipe(
        "SELECT {{column(col, 'id')}} AS c, {{columns(cols, 'id,tenant')}}, {{symbol(sym, 'id')}} AS s, "
        "{{String(text, 'a')}} AS t, {{Int32(num, 1)}} AS n, {{Array(list, 'String', 'a,b')}} AS l, "
        "{{DateTime(at, '2026-01-01 00:00:00')}} AS at, {{Float64(part, 0.5)}} AS p, {{max(Int32(num, 1), 2)}} AS m "
        "{% if defined(more) %}, {{String(more)}} AS more{% end %} FROM "
        "(SELECT id, tenant, val FROM events WHERE tenant = 'acme') "
        "WHERE {{sql_and(tenant=String(who, 'acme'), id__in=Array(ids, 'Int32', '0'))}} "
        "{% if defined(kinds) %} AND val IN {{Array(kinds, 'String')}} {% end %} "
        "ORDER BY {{column(order, 'id')}} LIMIT {{Int32(limit, 10)}}"
    ),
    "pipes/tables.pipe": _pipe("SELECT count() > 0 AS c FROM {{table(name, 'mine')}}"),
}


@dataclass(frozen=True)
class Kind:
    """A kind of token: its scopes, and whose canaries it may see.

    `reads` are the tables and pipes that it may read. What it is told hangs on `acme`'s rows alone where it is `alike`.
    Its token is `called` so: JWTs of several may have one name.
    """

    name: str
    scopes: tuple[dict[str, Any], ...]
    sees: frozenset[str] = frozenset()
    reads: tuple[str, ...] = ()
    jwt: bool = False
    alike: bool = False
    called: str = ""

    @property
    def is_filtered(self) -> bool:
        """Tell whether it may read some rows of data sources."""
        return any("filter" in scope for scope in self.scopes)

    @property
    def is_limited(self) -> bool:
        """Tell whether it is not told how much is read for it."""
        return any("filter" in scope or "fixed_params" in scope for scope in self.scopes)


def _scope(type_: str, resource: str = "", **more: Any) -> dict[str, Any]:
    return {"type": type_, **({"resource": resource} if resource else {}), **more}


def _reads(*names: str) -> tuple[dict[str, Any], ...]:
    return tuple(_scope("PIPES:READ", name) for name in names)


FILTERED = tuple(_scope("DATASOURCES:READ", name, filter="tenant = 'acme'") for name in ("events", "flat", "keyed"))
FIXED, FIXED_TOO = (
    tuple(_scope("PIPES:READ", name, fixed_params={"tenant": tenant}) for name in ("mine", "wide"))
    for tenant in ("acme", "globex")
)
CREATED = tuple(_scope(f"DATASOURCES:{what}", name) for name in ("own", "spare") for what in ("CREATE", "APPEND"))
ACME = frozenset({"acme"})
_SOURCES = ("events", "flat", "keyed")
KINDS = (
    Kind("append", (_scope("DATASOURCES:APPEND", "events"),), alike=True),
    Kind("creator", (*CREATED, *_reads("oth")), frozenset({"own"}), ("oth",), alike=True),
    Kind("fixed", FIXED, ACME, ("mine", "wide"), alike=True),
    Kind("fixed_jwt", FIXED, ACME, ("mine", "wide"), jwt=True, alike=True),
    Kind("fixed_too", FIXED_TOO, frozenset({"globex"}), ("mine", "wide"), jwt=True, called="fixed_jwt"),
    Kind("filtered", FILTERED, ACME, _SOURCES, alike=True),
    Kind("filtered_jwt", FILTERED, ACME, _SOURCES, jwt=True, alike=True),
    Kind("both", (*FILTERED, *FIXED, *_reads("oth", "names")), ACME, (*_SOURCES, "mine", "wide", "oth"), alike=True),
    Kind("names", _reads("names", "tables", "acmes"), ACME, ("names", "acmes", "acmes"), alike=True),
    Kind("caller", _reads("mine", "wide"), ROWS, ("mine", "wide")),
    Kind("events", (_scope("DATASOURCES:READ", "events"),), ROWS, ("events",)),
    Kind("secret", _reads("sec"), reads=("sec",)),
    Kind("counts", _reads("oth", "sec"), reads=("oth", "sec")),
    Kind("deployer", (_scope("WORKSPACE:DEPLOY"), *_reads("oth")), reads=("oth",), alike=True),
    Kind("keeper", (_scope("TOKENS"),), ROWS | {"other", "own"}),
    Kind(
        "all",
        (_scope("WORKSPACE:READ_ALL"),),
        ROWS | {"other", "own"},
        (*_SOURCES, "other", "own", "mine", "wide", "sec", "oth", "names"),
    ),
)


@dataclass
class World:
    """A server with what may not come out of it; tokens are by the names of their kinds."""

    instance: Instance
    tokens: Mapping[str, str]
    twins: Mapping[str, str]
    admin: str
    known: Known
    hidden: re.Pattern[str]
    ids: tuple[str, ...]


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Serve all of it; the host's file is in `folder`."""
    file = folder / "passwd"
    file.write_text(f"root:{CANARIES['file']}\n")
    with Instance(None) as instance:
        workspace, twin = instance.workspaces.create("walls"), instance.workspaces.create("twins")
        foreign = instance.workspaces.create("foreign_walls")
        foreign.deploy({"datasources/other.datasource": EVENTS})
        foreign.append("other", _rows({"id": 1, "tenant": "x", "val": CANARIES["foreign"]}))
        instance.catalog.secrets.put(foreign.id, "key", CANARIES["foreign"])
        for one, tenants in ((workspace, TENANTS), (twin, TENANTS[:1])):
            one.deploy(FILES)
            _fill(one, tenants)
            instance.catalog.secrets.put(one.id, "key", CANARIES["secret"])
        admins = [instance.workspaces.admin_token(one).value for one in (workspace, twin)]
        tokens, twins = (asyncio.run(_tokens(instance, admin)) for admin in admins)
        live, other, same = workspace.live, foreign.live, twin.live
        assert live is not None
        assert other is not None
        assert same is not None
        physical = (live.physical.tables["other"], live.physical.tables["events"], other.physical.tables["other"])
        databases = (one.database for one in (foreign, workspace, twin))
        tables = {t.rpartition(".")[2] for one in (live, other, same) for t in one.physical.tables.values()}
        names = (*databases, *tables, "foreign_walls", str(instance.data_dir), str(folder))
        hidden = re.compile("|".join(re.escape(name.replace("`", "")) for name in names))
        known = Known(physical, str(file), "http://127.0.0.1:9/")
        yield World(instance, tokens, twins, admins[0], known, hidden, (workspace.id, foreign.id))


def _fill(workspace: Workspace, tenants: tuple[str, ...]) -> None:
    for name in ("events", "flat", "keyed"):
        for number, tenant in enumerate(tenants):
            some = ({"id": 100 * number + n, "tenant": tenant, "val": CANARIES[tenant]} for n in range(2 * number + 1))
            workspace.append(name, _rows(*some))
    workspace.append("other", _rows({"id": 1, "tenant": "x", "val": CANARIES["other"]}))
    for name in ("own", "spare"):
        workspace.append(name, _rows(*({"id": n, "tenant": "own", "val": CANARIES["own"]} for n in range(5))))


def _rows(*rows: dict[str, Any]) -> list[Lines]:
    return [Lines.of(json.dumps(row).encode() for row in rows)]


async def _tokens(instance: Instance, admin: str) -> dict[str, str]:
    async with client(instance) as asking:
        found = {}
        for kind in KINDS:
            life = "&expiration_time=4000000000" if kind.jwt else ""
            headers = {"Authorization": f"Bearer {admin}"}
            reply = await asking.post(
                f"/v0/tokens?name={kind.called or kind.name}{life}", json={"scopes": kind.scopes}, headers=headers
            )
            found[kind.name] = reply.json()["token"]
        return found


def client(instance: Instance) -> httpx.AsyncClient:
    """Return what asks the server, in the process."""
    transport = httpx.ASGITransport(create_app(instance), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60)
