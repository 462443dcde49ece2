"""Adversarial SQL, values and conditions with many kinds of tokens: nobody reads what is not his, and nothing breaks.

CI asks 2,000 times; `CLICKPIPE_ADVERSARIAL=100000` as often as it says, `CLICKPIPE_ADVERSARIAL_FIRST` from where on.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from clickpipe.server.app import ROUTES
from tests.security.asking import ask, require_columns
from tests.security.replies import Reply, send, wrong
from tests.security.route_writer import POSTED, RouteWriter
from tests.security.ways import Asked
from tests.security.world import ACME, CANARIES, KINDS, ROWS, World, client, world

_SHOWN = 2_000
COUNT = int(os.environ.get("CLICKPIPE_ADVERSARIAL", "2000"))
FIRST = int(os.environ.get("CLICKPIPE_ADVERSARIAL_FIRST", "0"))
_BY_NAME = {kind.name: kind for kind in KINDS}


@pytest.fixture(scope="module")
def walls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("host")) as found:
        yield found


async def _all(walls: World, numbers: Iterator[int]) -> tuple[list[str], int, Counter[str]]:
    """Ask all; return what is wrong, how many answers are fine, and counts. `pytest -s` shows how far it is."""
    found: list[str] = []
    counts: Counter[str] = Counter()
    fine = 0

    async def worker() -> None:
        nonlocal fine
        for number in numbers:
            told = await ask(walls, number, asking, counts)
            if number % _SHOWN == 0:
                sys.stdout.write(f"{number:,} queries: {len(found)} wrong, {dict(sorted(counts.items()))}\n")
            fine += not told
            sys.stdout.write(f"{told}\n" if told else "")
            found.extend([told] if told else [])

    async with client(walls.instance) as asking:
        await asyncio.gather(*(worker() for _ in range(4)))
        jobs = await send(asking, Asked("GET", "/v0/jobs"), walls.tokens["all"])
    sys.stdout.write(f"{len(found)} wrong, {dict(sorted(counts.items()))}\n")
    of_jobs = [one for one in wrong(walls, _BY_NAME["all"], Asked("GET", "/v0/jobs"), jobs) if one.startswith("tells")]
    return found + of_jobs, fine, counts


@pytest.mark.slow
def test_nobody_reads_what_is_not_his(walls: World) -> None:
    require_columns()
    found, fine, counts = asyncio.run(_all(walls, iter(range(FIRST, FIRST + COUNT))))
    assert found == [], f"{len(found)} of {COUNT}: " + "\n".join(found[:10])
    assert fine == COUNT
    for mode in ("near", "far", "value", "condition", "filter", "route"):  # text that is refused tests the parser alone
        asked = sum(number for name, number in counts.items() if name.split()[0] == mode and "held" not in name)
        assert counts[f"{mode} ok"] > asked / 10, f"{mode}: {counts[f'{mode} ok']} of {asked} succeed"


# What changes something: conditions, projects and values are sent to them by other writers, and by tests/server.
WRITES = frozenset(
    {"/v0/events", "/v0/pipes/{name}/copy", "/v0/pipes/{name}/nodes/{node}/population", "/v0/pipes/{name}/copy/pause"}
    | {"/v0/pipes/{name}/sink", "/v0/pipes/{name}/nodes/{node}/sink"}
    | {"/v0/pipes/{name}/sink/pause", "/v0/pipes/{name}/sink/resume"}
    | {"/v0/pipes/{name}/copy/resume", "/v0/datasources", "/v0/datasources/{name}/truncate", "/v0/tokens", "/v1/build"}
    | {"/v1/datasources/{name}/append", "/v1/datasources/{name}/replace", "/v1/datasources/{name}/truncate"}
    | {"/v1/datasources/{name}/quarantine/replay", "/v1/rejected/replay", "/v1/materializations/{name}/populate"}
    | {"/v0/tokens/{name}/refresh", "/v0/variables", "/v1/workspaces", "/v0/environments", "/v1/environments"}
    | {"/v1/deploy", "/v1/deployments/{id:number}/set-live", "/v0/datasources/{name}/scheduling/runs"}
    | {"/v0/datasources/{name}/stop", "/v0/datasources/{name}/start", "/v0/datasources/{name}/sample"}
    | {"/v1/connectors/{name}/check"}
)


def test_each_route_that_tells_is_asked() -> None:
    posted = {path for method, path, _ in ROUTES if method == "POST"}
    assert posted == WRITES | {path.partition("?")[0] for path in POSTED}
    asked = [RouteWriter(number, ("events",), ("0",)).asked() for number in range(2_000)]
    told = {path for method, path, _ in ROUTES if method == "GET" and "{" not in path}
    told |= {path.partition("?")[0] for path in POSTED if "{" not in path}
    assert told <= {one.path.partition("?")[0] for one in asked}
    assert {one.method for one in asked} == {"GET", "HEAD", "POST"}


def _replies(walls: World, *asked: tuple[str, str]) -> dict[str, Reply]:
    async def ask_all() -> dict[str, Reply]:
        async with client(walls.instance) as asking:
            return {
                name: await send(asking, Asked("POST", "/v0/sql", sql.encode()), walls.tokens[name])
                for name, sql in asked
            }

    return asyncio.run(ask_all())


def test_the_canaries_are_there_for_who_may_see_them(walls: World) -> None:
    """The test above can fail: each canary comes out where it may."""
    told = _replies(
        walls,
        ("all", "SELECT val FROM events UNION ALL SELECT val FROM other UNION ALL SELECT val FROM keyed"),
        ("filtered", "SELECT * FROM events"),
        ("fixed", "SELECT * FROM wide"),
    )
    assert all(CANARIES[name] in told["all"].text for name in (*ROWS, "other"))
    for name in ("filtered", "fixed"):
        assert {one for one, canary in CANARIES.items() if canary in told[name].text} == ACME


@pytest.mark.parametrize(
    "disguise",
    [
        *("val", "hex(val)", "lower(hex(val))", "reverse(val)", "upper(val)", "base64Encode(concat('a', val))"),
        *("base64Encode(val)", "substring(val, 5, 19)", "hex(reverse(val))", "toJSONString(tuple(val))"),
        *("encodeURLComponent(val)", "right(val, 10)"),
    ],
)
def test_a_canary_is_found_however_it_is_written(walls: World, disguise: str) -> None:
    told = _replies(walls, ("all", f"SELECT {disguise} AS v FROM other"))["all"]
    assert told.status == 200
    assert wrong(walls, _BY_NAME["all"], Asked("POST", "/v0/sql"), told) == []
    assert any("other" in one for one in wrong(walls, _BY_NAME["filtered"], Asked("POST", "/v0/sql"), told))


def test_names_and_paths_of_the_server_are_found(walls: World) -> None:
    asked = Asked("POST", "/v0/sql", said="SELECT 1")
    for name in (walls.known.physical[0], walls.known.file, str(walls.instance.data_dir), "foreign_walls"):
        assert wrong(walls, _BY_NAME["all"], asked, Reply(400, f"near {name}", {})) != []
        assert wrong(walls, _BY_NAME["all"], asked, Reply(200, "", {"x-odd": name})) != []


def test_the_file_is_there(walls: World) -> None:
    assert CANARIES["file"] in Path(walls.known.file).read_text()
