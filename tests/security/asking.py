"""One numbered question of the generator: who asks what in which way, and what is wrong with the answers."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from dataclasses import replace
from functools import cache
from random import Random
from urllib.parse import urlencode

import httpx

from tests.security.condition_writer import ConditionWriter
from tests.security.near_writer import COLUMNS, INNER, NearWriter
from tests.security.replies import Reply, differs, send, wrong
from tests.security.route_writer import RouteWriter
from tests.security.seed_writer import SeedWriter, known_ways
from tests.security.sql_writer import Known, Writer
from tests.security.value_writer import PARAMETERS, ValueWriter
from tests.security.ways import Asked, call_request, condition_request, sql_request
from tests.security.world import KINDS, Kind, World

_MODES = ("near", "far", "near", "seed", "value", "route", "near", "far", "near", "far", "value", "route")
_PIPES = ("mine", "wide", "sec", "oth", "names")
_NAMES = ("events", "other", "own", "spare", "keyed", "mine", "sec", "oth", "names", "key", "deployer", "foreign_walls")
_LONGEST = 60_000  # letters of an address that httpx sends
_ID = re.compile(r"\bt_[0-9a-f]{32}\b")  # of a data source in one of the worlds
_OWN = r"(?<!foreign_)\bwalls\."
_UNSURE = re.compile(r"\b(?:rand|assumeNotNull)\(")  # of NULL, ClickHouse assumes what it likes
_ENDED = {"done", "error", "cancelled"}


def who_and_how(number: int) -> tuple[Kind, int, str]:
    """Return who asks, its turn, and what: SQL that is near or far, a seed, values, a condition, a route."""
    kind, turn = KINDS[number % len(KINDS)], number // len(KINDS)
    mode = _MODES[turn % len(_MODES)]
    if kind.name == "creator" and turn % 5 < 3:
        mode = "condition"
    elif kind.name == "keeper" and turn % 5 < 3:
        mode = "filter"
    elif not kind.reads and mode == "near":
        mode = "seed"
    return kind, turn, mode


@cache
def _ways(known: Known) -> list[str]:
    return known_ways(known)


def _asked(world: World, number: int) -> Asked:
    kind, turn, mode = who_and_how(number)
    pipes = tuple(name for name in kind.reads if name in PARAMETERS)
    if mode == "condition":
        names = ("own", "own", "spare", "oth") if number % 2 else ("events", "other", "flat", "mine", "wide", "sec")
        return condition_request(number, ConditionWriter(number, names, world.known.file).condition())
    if mode == "value":
        pipe = Random(number).choice(pipes or _PIPES) if number % 5 else Random(number).choice(tuple(PARAMETERS))
        return call_request(number, pipe, ValueWriter(number, world.known.physical).values(pipe))
    if mode == "route":
        every = (*_NAMES, *kind.reads, *world.known.physical, *world.ids, kind.name)
        return RouteWriter(number, every, world.ids).asked()
    if mode == "near":
        inner = tuple(INNER[name] for name in kind.reads if name in INNER) if Random(number).randrange(4) == 0 else ()
        sql, said = NearWriter(number, inner or kind.reads).query(), ""
        if turn % 3 == 0:
            sql += Random(number).choice((" FORMAT JSON", " FORMAT CSV", " FORMAT JSONEachRow", " FORMAT Pretty"))
    elif mode == "seed":
        writer = SeedWriter(number, _ways(world.known), kind.reads)
        sql, said = writer.query(), writer.source
    else:
        sql, said = Writer(number, world.known, kind.reads).query(), ""
    found = sql_request(turn, number, sql, pipes or _PIPES)
    return replace(found, said=f"{found.said}\n{said}")


async def ask(world: World, number: int, client: httpx.AsyncClient, counts: Counter[str]) -> str:
    """Ask once; return what is wrong with the answer."""
    kind, _, mode = who_and_how(number)
    if mode == "filter":
        return await _ask_filter(world, kind, number, client, counts)
    asked = _asked(world, number)
    if len(asked.path) > _LONGEST:
        return ""
    reply = await send(client, asked, world.tokens[kind.name])
    counts[f"{mode} {'ok' if reply.status in {200, 202, 206} else reply.status}"] += 1
    found = wrong(world, kind, asked, reply)
    if (
        kind.alike
        and not _ID.search(asked.path)
        and "spare" not in asked.path + asked.said
        and not (kind.name == "names" and "explain" in asked.path)
    ):
        found += differs(kind, asked, reply, await send(client, _of_twin(asked), world.twins[kind.name]))
    if mode == "condition" and reply.status in {200, 202}:
        found += await _wrong_in_job(world, kind, asked, reply, client)
    return _told(kind, number, asked, found, reply)


def _of_twin(asked: Asked) -> Asked:
    """Return a request that names the other workspace where it named its own."""
    path, body = re.sub(_OWN, "twins.", asked.path), re.sub(_OWN.encode(), b"twins.", asked.body)
    return replace(asked, path=path, body=body)


def _told(kind: Kind, number: int, asked: Asked, found: list[str], reply: Reply) -> str:
    if not found:
        return ""
    return f"{number} {kind.name} {asked.method} {asked.path[:200]} {asked.said[:2000]!r}: {found} {reply.text[:300]}"


async def _wrong_in_job(world: World, kind: Kind, asked: Asked, reply: Reply, client: httpx.AsyncClient) -> list[str]:
    """Return what is wrong with how a job ends that a condition started."""
    job = json.loads(reply.text).get("job_id")
    if job is None:
        return []
    told = reply
    while not told.text or json.loads(told.text).get("status", "done") not in _ENDED:
        await asyncio.sleep(0.005)
        told = await send(client, Asked("GET", f"/v0/jobs/{job}"), world.tokens[kind.name])
    return wrong(world, kind, asked, told)


async def _ask_filter(world: World, kind: Kind, number: int, client: httpx.AsyncClient, counts: Counter[str]) -> str:
    """Have a token made with a filter: where it is taken, its rows are those of the condition, and no others."""
    random = Random(number)
    source = random.choice(("events", "flat"))
    names = ("events", "flat", "other", "own", "mine", "oth", "sec")
    conditions = [
        ConditionWriter(number + n, names, world.known.file).condition().strip() or "1"  # without one it is no filter
        for n in range(random.choice((1, 1, 2)))
    ]
    scopes = [{"type": "DATASOURCES:READ", "resource": source, "filter": condition} for condition in conditions]
    body = json.dumps({"scopes": scopes}).encode()
    said = "\n".join(conditions)
    life = "&expiration_time=4000000000" if random.randrange(4) else ""  # a signed one, or one that is kept
    if not life and random.randrange(2):
        body = b""
        texts = urlencode(
            {"scope": [f"DATASOURCES:READ:{source}:{c}" for c in conditions]}, doseq=True, errors="replace"
        )
        path = f"/v0/tokens?name=of_{number}&{texts}"
    else:
        path = f"/v0/tokens?name=of_{number}{life}"
    made = await send(client, Asked("POST", path, body), world.tokens[kind.name])
    counts[f"filter {'ok' if made.status == 200 else made.status}"] += 1
    asked = Asked("POST", "/v0/sql", f"SELECT * FROM {source} ORDER BY id FORMAT JSONEachRow".encode(), said=said)
    found = wrong(world, kind, replace(asked, said=f"{said}\n{body.decode()}"), made)
    reply = made
    if made.status == 200:
        value = json.loads(made.text)["token"]
        reply = await send(client, asked, value)
        found += wrong(world, kind, asked, reply)
        found += await _more(world, asked, source, conditions, reply, client, counts)
        other = await send(client, Asked("POST", "/v0/sql", b"SELECT * FROM other"), value)
        found += ["reads another table"] if other.status == 200 else []
        if not life:
            await client.delete(f"/v0/tokens/of_{number}", headers={"Authorization": f"Bearer {world.admin}"})
    return _told(kind, number, asked, found, reply)


async def _more(
    world: World,
    asked: Asked,
    source: str,
    conditions: list[str],
    reply: Reply,
    client: httpx.AsyncClient,
    counts: Counter[str],
) -> list[str]:
    """Return what is wrong with the rows of a token: they have to be those of its conditions, asked for by SQL."""
    if reply.status != 200:
        return []
    where = " OR ".join(f"({condition}\n)" for condition in conditions)
    sql = f"SELECT * FROM {source} WHERE ({where}\n) ORDER BY id FORMAT JSONEachRow"
    whole = await send(client, Asked("POST", "/v0/sql", sql.encode()), world.admin)
    counts[f"filter held {whole.status}"] += 1
    unsure = _UNSURE.search(asked.said)
    if not reply.text or unsure or (whole.status == 200 and _values(whole) == _values(reply)):
        return []
    return [f"reads {reply.text[:200]!r}, its condition {whole.status} {whole.text[:200]!r}"]


def _values(reply: Reply) -> list[list[object]]:
    """Return the values of rows: an alias in a condition changes what columns are called."""
    return [list(json.loads(line).values()) for line in reply.text.splitlines()]


def require_columns() -> None:
    """Raise unless the columns of all that may be read are known."""
    assert {name for kind in KINDS for name in kind.reads} <= COLUMNS.keys()
