"""Adversarial SQL with twelve kinds of tokens: nobody reads what is not his, and nothing breaks.

Three tenants' rows, another table, another workspace, a secret and a file of the host hold canaries. CI asks 2,000
times; `CLICKPIPE_ADVERSARIAL=100000` as often as it says.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from clickpipe.ingest import Lines
from clickpipe.runtime import Instance
from clickpipe.server import create_app
from tests.security.near_writer import NearWriter
from tests.security.sql_writer import Known, Writer

_SHOWN = 2_000
COUNT = int(os.environ.get("CLICKPIPE_ADVERSARIAL", "2000"))
FIRST = int(os.environ.get("CLICKPIPE_ADVERSARIAL_FIRST", "0"))
TENANTS = ("acme", "globex", "initech")
ROWS = {"canary-of-acme", "canary-of-globex", "canary-of-initech"}
OTHER, FOREIGN, SECRET, FILE = "canary-of-other", "canary-of-foreign", "canary-of-secret", "canary-of-file"
EVERY = {*ROWS, OTHER, FOREIGN, SECRET, FILE}

EVENTS = """SCHEMA >
    `id` UInt64 `json:$.id`,
    `tenant` String `json:$.tenant`,
    `val` String `json:$.val`

ENGINE "MergeTree"
ENGINE_PARTITION_KEY "tenant"
ENGINE_SORTING_KEY "id"
"""
FILES = {
    "datasources/events.datasource": EVENTS,
    "datasources/other.datasource": EVENTS,
    "pipes/mine.pipe": (
        "NODE n\nSQL >\n    %\n    SELECT id, tenant, val FROM events "
        "WHERE tenant = {{String(tenant, 'acme')}}\nTYPE endpoint\n"
    ),
    "pipes/sec.pipe": (
        "NODE s\nSQL >\n    %\n    SELECT id, hex(HMAC('sha256', toString(id), {{tb_secret('key')}})), "
        "cityHash64({{tb_secret('key')}}) FROM events\nTYPE endpoint\n"
    ),
    "pipes/oth.pipe": "NODE o\nSQL >\n    SELECT count() AS c FROM other\nTYPE endpoint\n",
}


@dataclass(frozen=True)
class Kind:
    """A kind of token: its scopes, and the canaries that it may see."""

    name: str
    scopes: tuple[dict[str, Any], ...]
    sees: frozenset[str]
    reads: tuple[str, ...] = ()
    jwt: bool = False


def _scope(type_: str, resource: str = "", **more: Any) -> dict[str, Any]:
    return {"type": type_, **({"resource": resource} if resource else {}), **more}


FILTERED = _scope("DATASOURCES:READ", "events", filter="tenant = 'acme'")
FIXED = _scope("PIPES:READ", "mine", fixed_params={"tenant": "acme"})
ACME = frozenset({"canary-of-acme"})
KINDS = (
    Kind("append", (_scope("DATASOURCES:APPEND", "events"),), frozenset()),
    Kind("fixed", (FIXED,), ACME, ("mine",)),
    Kind("fixed_jwt", (FIXED,), ACME, ("mine",), jwt=True),
    Kind("filtered", (FILTERED,), ACME, ("events",)),
    Kind("filtered_jwt", (FILTERED,), ACME, ("events",), jwt=True),
    Kind("filtered_and_fixed", (FILTERED, FIXED, _scope("PIPES:READ", "oth")), ACME, ("events", "mine", "oth")),
    Kind("caller", (_scope("PIPES:READ", "mine"),), frozenset(ROWS), ("mine",)),
    Kind("events", (_scope("DATASOURCES:READ", "events"),), frozenset(ROWS), ("events",)),
    Kind("secret", (_scope("PIPES:READ", "sec"),), frozenset(), ("sec",)),
    Kind("counts", (_scope("PIPES:READ", "oth"), _scope("PIPES:READ", "sec")), frozenset(), ("oth", "sec")),
    Kind("deployer", (_scope("WORKSPACE:DEPLOY"), _scope("PIPES:READ", "oth")), frozenset(), ("oth",)),
    Kind("all", (_scope("WORKSPACE:READ_ALL"),), frozenset({*ROWS, OTHER}), ("events", "other", "mine", "sec", "oth")),
)


@dataclass
class World:
    """A server with what may not come out of it; `twins` are tokens of a workspace with one tenant's rows alone."""

    instance: Instance
    tokens: dict[str, str]
    twins: dict[str, str]
    known: Known
    hidden: re.Pattern[str]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    file = tmp_path_factory.mktemp("host") / "passwd"
    file.write_text(f"root:{FILE}\n")
    with Instance(None) as instance:
        workspace = instance.workspaces.create("walls")
        foreign = instance.workspaces.create("foreign_walls")
        twin = instance.workspaces.create("twin_of_one")
        foreign.deploy({"datasources/other.datasource": EVENTS})
        workspace.deploy(FILES)
        twin.deploy(FILES)
        foreign.append("other", _rows({"id": 1, "tenant": "x", "val": FOREIGN}))
        workspace.append("other", _rows({"id": 1, "tenant": "x", "val": OTHER}))
        rows = [{"id": n, "tenant": t, "val": f"canary-of-{t}"} for n, t in enumerate(TENANTS)]
        workspace.append("events", _rows(*rows))
        twin.append("events", _rows(rows[0]))
        twin.append("other", _rows({"id": 1, "tenant": "x", "val": OTHER}))
        for one in (workspace, twin):
            instance.catalog.secrets.put(one.id, "key", SECRET)
        admins = [instance.workspaces.admin_token(one).value for one in (workspace, twin)]
        tokens, twins = (asyncio.run(_tokens(instance, admin)) for admin in admins)
        live, other = workspace.live, foreign.live
        assert live is not None
        assert other is not None
        physical = (live.physical.tables["other"], live.physical.tables["events"], other.physical.tables["other"])
        hidden = re.compile("|".join(map(re.escape, (foreign.database, "foreign_walls", str(instance.data_dir)))))
        yield World(instance, tokens, twins, Known(physical, str(file), "http://127.0.0.1:9/"), hidden)


def _rows(*rows: dict[str, Any]) -> list[Lines]:
    return [Lines.of(json.dumps(row).encode() for row in rows)]


async def _tokens(instance: Instance, admin: str) -> dict[str, str]:
    async with _client(instance) as client:
        found = {}
        for kind in KINDS:
            life = "&expiration_time=4000000000" if kind.jwt else ""
            headers = {"Authorization": f"Bearer {admin}"}
            reply = await client.post(
                f"/v0/tokens?name={kind.name}{life}", json={"scopes": kind.scopes}, headers=headers
            )
            found[kind.name] = reply.json()["token"]
        return found


def _client(instance: Instance) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(instance), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60)


def _request(number: int, sql: str) -> tuple[str, str, bytes]:
    """Return method, path and body of one of the ways to send SQL."""
    way = number % 5
    if way == 0:
        return "POST", "/v0/sql", sql.encode(errors="replace")
    if way == 1:
        return "POST", "/v0/sql?pipeline=mine&tenant=globex&x=1", sql.encode(errors="replace")
    if way == 2:
        return "POST", "/?" + urlencode({"param_x": "1"}), sql.encode(errors="replace")
    if way == 3:
        return "GET", "/v0/pipes/mine.json?" + urlencode({"q": sql, "tenant": "globex", "x": "1"}), b""
    return "GET", "/v0/pipes/sec.json?" + urlencode({"q": sql, "x": "1"}), b""


def _asked(world: World, kind: Kind, number: int) -> tuple[str, str, str, bytes]:
    """Return a query, and the request that sends it: every second one is of what the token may read."""
    turn = number // len(KINDS)
    if turn % 2 and kind.reads:
        sql = NearWriter(number, kind.reads).query()
        return (
            sql,
            "POST",
            "/" if turn % 4 == 1 else "/v0/sql",
            (sql if turn % 4 == 1 else f"{sql} FORMAT JSON").encode(),
        )
    sql = Writer(number, world.known).query()
    return (sql, *_request(turn, sql))


async def _send(client: httpx.AsyncClient, method: str, path: str, body: bytes, token: str) -> tuple[int, str, str]:
    """Return the status, the text and the headers; status 0 for a result that was cut off on its way."""
    try:
        reply = await client.request(method, path, content=body, headers={"Authorization": f"Bearer {token}"})
    except AssertionError:  # how httpx tells of a response that was not ended
        return 0, "", ""
    return reply.status_code, reply.text, str(dict(reply.headers))


async def _ask(world: World, kind: Kind, number: int, client: httpx.AsyncClient, statuses: Counter[str]) -> str:
    """Ask once; return what is wrong with the answer."""
    sql, method, path, body = _asked(world, kind, number)
    if len(sql) > 60_000:
        return ""
    status, text, headers = await _send(client, method, path, body, world.tokens[kind.name])
    near = "near" if (number // len(KINDS)) % 2 and kind.reads else "far"
    statuses[f"{near} {status}"] += 1
    said = f"{text} {headers}"
    wrong = [canary for canary in EVERY - kind.sees if canary in said and canary not in sql]
    wrong += [found[0] for found in [world.hidden.search(said)] if found and found[0] not in sql]
    wrong += [f"status {status}"] if status >= 500 and status != 503 else []
    if near == "near" and kind.sees == ACME and not _PLACES.search(sql):
        other, instead, _ = await _send(client, method, path, body, world.twins[kind.name])
        if (other, _shown(instead)) != (status, _shown(text)):
            wrong.append(f"differs where others have no rows: {other} {instead[:300]}")
    return f"{kind.name} {method} {path[:60]} {sql!r}: {wrong} {text[:300]}" if wrong else ""


# Where a row lies differs with the rows that others have.
_PLACES = re.compile(r"\b_(?:part|partition_id|part_offset|block_number|database|table)\b")
_PASSING = re.compile(r'"statistics":\s*\{[^}]*\}|\bws_\w+|[a-z]+_[0-9a-f]{12}|at row \d+|\d+ rows')


def _shown(text: str) -> str:
    """Return what a caller is told, in any order, without times and names of this workspace."""
    return "\n".join(sorted(line.strip().rstrip(",") for line in _PASSING.sub("", text).splitlines()))


async def _all(world: World, numbers: Iterator[int]) -> tuple[list[str], int]:
    """Ask all; return what is wrong, and how many answers are fine. `pytest -s` shows how far it is."""
    wrong: list[str] = []
    statuses: Counter[str] = Counter()
    fine = 0

    async def worker(client: httpx.AsyncClient) -> None:
        nonlocal fine
        for number in numbers:
            told = await _ask(world, KINDS[number % len(KINDS)], number, client, statuses)
            if number % _SHOWN == 0:
                sys.stdout.write(f"{number:,} queries: {len(wrong)} wrong, {dict(statuses)}\n")
            fine += not told
            sys.stdout.write(f"{told}\n" if told else "")
            wrong.extend([told] if told else [])

    async with _client(world.instance) as client:
        await asyncio.gather(*(worker(client) for _ in range(4)))
    return wrong, fine


@pytest.mark.slow
def test_nobody_reads_what_is_not_his(world: World) -> None:
    wrong, fine = asyncio.run(_all(world, iter(range(FIRST, FIRST + COUNT))))
    assert wrong == [], f"{len(wrong)} of {COUNT}: " + "\n".join(wrong[:10])
    assert fine == COUNT


def test_the_canaries_are_there_for_who_may_see_them(world: World) -> None:
    """The test above can fail: each canary comes out where it may."""

    async def ask() -> dict[str, str]:
        async with _client(world.instance) as client:
            return {
                name: (
                    await client.post(
                        "/v0/sql", content=sql.encode(), headers={"Authorization": f"Bearer {world.tokens[name]}"}
                    )
                ).text
                for name, sql in (
                    ("all", "SELECT val FROM events UNION ALL SELECT val FROM other"),
                    ("filtered", "SELECT * FROM events"),
                    ("fixed", "SELECT * FROM mine"),
                )
            }

    told = asyncio.run(ask())
    assert all(canary in told["all"] for canary in (*ROWS, OTHER))
    assert {canary for canary in EVERY if canary in told["filtered"]} == ACME
    assert {canary for canary in EVERY if canary in told["fixed"]} == ACME


def test_the_file_is_there(world: World) -> None:
    assert FILE in Path(world.known.file).read_text()
