"""A data source's definition reads no table and no file, and its refusal tells of none: there or not, it is the same.

ClickHouse looks names up, of files of the host too, while it reads a definition, and suggests those of any workspace.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.security.known import CANARY, FILE, World
from tests.server.conftest import Client

_SCHEMA = "SCHEMA >\n    `id` UInt64 `json:$.id`,\n    `d` DateTime `json:$.d`{column}\n\n"
_ENGINE = 'ENGINE "MergeTree"\nENGINE_SORTING_KEY "{key}"\n{rest}\n'
PLACES = (
    {"column": ",\n    `a` UInt8 `json:$.a` DEFAULT id IN {quoted}"},
    {"column": ",\n    `a` UInt8 `json:$.a` DEFAULT id NOT IN ({quoted})"},
    {"column": ",\n    `a` UInt8 `json:$.a` DEFAULT globalNotNullIn(id, {quoted})"},
    {"column": ",\n    `a` UInt8 `json:$.a` DEFAULT arrayExists(x -> x IN {quoted}, [id])"},
    {"column": ",\n    `a` String `json:$.a` DEFAULT joinGet('{name}', 'secret', id)"},
    {"column": ",\n    `a` String `json:$.a` DEFAULT joinGetOrNull({quoted}, 'secret', id)"},
    {"key": "id IN {quoted}"},
    {"key": "joinGet('{name}', 'secret', id)"},
    {"rest": 'ENGINE_PARTITION_KEY "id IN {quoted}"'},
    {"rest": "ENGINE_PARTITION_KEY \"joinGet('{name}', 'secret', id)\""},
    {"rest": 'ENGINE_PRIMARY_KEY "id IN {quoted}"'},
    {"rest": 'ENGINE_SAMPLING_KEY "toUInt64(id IN {quoted})"'},
    {"rest": 'ENGINE_TTL "d + INTERVAL 1 DAY DELETE WHERE id IN {quoted}"'},
    {"rest": "ENGINE_TTL \"d + INTERVAL 1 DAY DELETE WHERE joinGet('{name}', 'secret', id) = 'a'\""},
    {"rest": 'ENGINE_TTL "d + toIntervalDay(id IN {quoted})"'},
    {"rest": 'ENGINE_TTL "d + INTERVAL 1 DAY GROUP BY id SET d = max(if(id IN {quoted}, d, d))"'},
    {"rest": "INDEXES >\n    i (id IN {quoted}) TYPE minmax GRANULARITY 1"},
    {"rest": "INDEXES >\n    i joinGet('{name}', 'secret', id) TYPE set(1) GRANULARITY 1"},
)


@pytest.fixture(scope="module")
def tenant(known: World) -> Iterator[Client]:
    instance = known.client.instance
    made = instance.workspaces.create("tenant_c")
    yield Client(instance, made)
    instance.workspaces.delete(made)


def _told(client: Client, place: dict[str, str], name: str) -> str:
    """Return what a check tells, without the name that it was asked about."""
    text = (_SCHEMA + _ENGINE).format(**{"column": "", "key": "id", "rest": "", **place})
    text = text.replace("{quoted}", f"`{name}`").replace("{name}", name)
    files = [("data_project://", ("datasources/mine.datasource", text))]
    reply = client("POST", "/v1/deploy?check=true", files=files)
    assert (reply.status_code, reply.json()["result"]) == (400, "failed"), reply.text
    return reply.text.replace(name, "?")


@pytest.mark.parametrize("place", PLACES, ids=range(len(PLACES)))
def test_a_definition_tells_nothing_of_a_name(known: World, tenant: Client, place: dict[str, str]) -> None:
    database, _, table = known.other.partition(".")
    for name in (known.file, "/etc/passwd", "/dev/null", table, table[:-1], f"{table[:-1]}0", database, "other"):
        told = _told(tenant, place, name)
        assert told == _told(tenant, place, f"{name[:2]}{'z' * (len(name) - 2)}"), name
        assert not any(text in told for text in (database, table, CANARY, FILE, "privileges", "Maybe"))
    for name in (known.other, f"{database}.other_x", "system.tables", "default.x", "no_such.table"):
        told = _told(tenant, place, name)
        assert not any(text in told for text in (database, table, CANARY, FILE, "privileges", "Maybe"))
    assert known.knocks == []
