"""Nodes of a pipe have rows that the pipe leaves out: they are for who may see the whole project."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from clickpipe.runtime import Instance
from tests.server.conftest import Client, filled, sign

ROWS = """SCHEMA >
    `id` UInt64 `json:$.id`,
    `tenant` String `json:$.tenant`

ENGINE "MergeTree"
ENGINE_SORTING_KEY "id"
"""
PIPE = """NODE every
SQL >
    SELECT id, tenant FROM rows

NODE larger
SQL >
    SELECT id, tenant FROM every WHERE id >= 0

NODE mine
SQL >
    %
    SELECT id, tenant FROM larger WHERE tenant = {{String(tenant, 'acme')}}
TYPE endpoint
"""
FILES = {
    "datasources/rows.datasource": ROWS,
    "datasources/other.datasource": ROWS,
    "pipes/kept.pipe": PIPE,
    "pipes/over.pipe": "NODE raw\nSQL >\n    SELECT * FROM other\n\nNODE n\nSQL >\n    SELECT * FROM kept\n",
}
READ = {"type": "PIPES:READ", "resource": "kept"}
TOKENS: dict[str, list[dict[str, Any]]] = {
    "fixed": [{**READ, "fixed_params": {"tenant": "acme"}}],
    "filtered": [READ, {"type": "DATASOURCES:READ", "resource": "other", "filter": "tenant = 'acme'"}],
    "reader": [READ, {"type": "PIPES:READ", "resource": "over"}],
}
INNER = (
    "SELECT * FROM every",
    "SELECT * FROM larger",
    "SELECT * FROM `every`",
    'SELECT * FROM "larger" AS z',
    "FROM every SELECT *",
    "SELECT * FROM _ UNION ALL SELECT * FROM every",
    "SELECT e.* FROM _, every AS e",
    "SELECT (SELECT groupArray(tenant) FROM every)",
    "SELECT * FROM _ WHERE id IN (SELECT id FROM larger)",
    "SELECT (0, 'globex') IN every",
    "SELECT * FROM view(SELECT * FROM larger)",
    "WITH z AS (SELECT * FROM every) SELECT * FROM z",
    "SELECT * FROM every FINAL",
    "SELECT /* FROM _ */ * FROM /**/ every -- _",
    "% SELECT * FROM {{table('every')}}",
)


@pytest.fixture(scope="module")
def pipes(server_instance: Instance) -> Iterator[tuple[Client, dict[str, str]]]:
    rows = [{"id": n, "tenant": tenant} for n, tenant in enumerate(("acme", "globex", "initech"))]
    with filled(server_instance, "inner_nodes", FILES, {"rows": rows, "other": rows}) as client:
        yield client, {name: sign(client, *scopes, name=name) for name, scopes in TOKENS.items()}


def _ways(client: Client, value: str, sql: str, pipe: str = "kept") -> Iterator[Any]:
    headers = {"Authorization": f"Bearer {value}"} if value else {}
    whose = {"token": None} if value else {}
    yield client("GET", f"/v0/pipes/{pipe}.json", params={"q": sql}, headers=headers, **whose)
    yield client("POST", f"/v0/pipes/{pipe}.json", json={"q": sql}, headers=headers, **whose)
    yield client("GET", "/v0/sql", params={"q": f"{sql} FORMAT JSON", "pipeline": pipe}, headers=headers, **whose)
    yield client("POST", "/v0/sql", params={"pipeline": pipe}, content=f"{sql} FORMAT JSON", headers=headers, **whose)


@pytest.mark.parametrize("kind", TOKENS)
@pytest.mark.parametrize("sql", INNER)
def test_an_inner_node_is_not_for_who_may_call_the_pipe(
    pipes: tuple[Client, dict[str, str]], kind: str, sql: str
) -> None:
    client, tokens = pipes
    for reply in _ways(client, tokens[kind], sql):
        assert reply.status_code == 403, reply.text
        assert "WORKSPACE:READ_ALL" in reply.json()["error"]
        assert "globex" not in reply.text.replace(sql, "")


def test_nor_is_what_another_pipe_begins_with(pipes: tuple[Client, dict[str, str]]) -> None:
    client, tokens = pipes
    for reply in _ways(client, tokens["reader"], "SELECT * FROM raw", "over"):
        assert reply.status_code == 403, reply.text


@pytest.mark.parametrize("name", ["_", "kept", "mine"])
@pytest.mark.parametrize("kind", TOKENS)
def test_what_it_publishes_is_by_each_of_its_names(pipes: tuple[Client, dict[str, str]], kind: str, name: str) -> None:
    client, tokens = pipes
    for reply in _ways(client, tokens[kind], f"SELECT * FROM {name}"):
        assert (reply.status_code, reply.json().get("data")) == (200, [{"id": 0, "tenant": "acme"}]), reply.text


def test_who_may_see_the_whole_project_may_name_nodes(pipes: tuple[Client, dict[str, str]]) -> None:
    client, _ = pipes
    for reply in _ways(client, "", "SELECT count() AS n FROM every"):
        assert (reply.status_code, reply.json()["data"]) == (200, [{"n": 3}]), reply.text
