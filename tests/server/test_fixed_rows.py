"""A token that fixes a pipe's parameters learns of its own rows only, in calls and in its own SQL over the pipe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from clickpipe.ingest import Lines
from clickpipe.runtime import Instance
from tests.server.conftest import Client, sign

# Of one part, its columns in files of their own, with small granules: where ClickHouse moves conditions before others.
ROWS = """SCHEMA >
    `id` UInt64 `json:$.id`,
    `tenant` String `json:$.tenant`,
    `val` String `json:$.val`

ENGINE "MergeTree"
ENGINE_SORTING_KEY "id"
ENGINE_SETTINGS "index_granularity=2, min_bytes_for_wide_part=0, min_rows_for_wide_part=0"
"""
PIPE = """NODE n
SQL >
    %
    SELECT id, tenant, val FROM rows WHERE tenant = {{String(tenant, 'x')}}
TYPE endpoint
"""
FILES = {
    "datasources/rows.datasource": ROWS,
    "pipes/mine.pipe": PIPE,
    "pipes/acmes.pipe": "NODE n\nSQL >\n    SELECT * FROM rows WHERE tenant = 'acme'\nTYPE endpoint\n",
    "pipes/over.pipe": "NODE n\nSQL >\n    SELECT * FROM mine\nTYPE endpoint\n",
}
FIXED = [{"type": "PIPES:READ", "resource": name, "fixed_params": {"tenant": "acme"}} for name in ("mine", "over")]


@pytest.fixture(scope="module")
def fixed(server_instance: Instance) -> Iterator[tuple[Client, str]]:
    workspace = server_instance.workspaces.create("fixed_rows")
    workspace.deploy(FILES)
    rows: list[dict[str, Any]] = []
    for number, tenant in enumerate(("acme", "globex", "initech")):
        rows += [{"id": 100 * number + n, "tenant": tenant, "val": f"of-{tenant}-{n}"} for n in range(5)]
    workspace.append("rows", [Lines.of(json.dumps(row).encode() for row in rows)])
    client = Client(server_instance, workspace)
    yield client, sign(client, *FIXED)
    server_instance.workspaces.delete(workspace)


def _get(fixed: tuple[Client, str], path: str, **params: Any) -> Any:
    client, value = fixed
    return client("GET", path, token=None, params=params, headers={"Authorization": f"Bearer {value}"})


# What would be another answer, or an error, were a row of others judged.
SAME = [
    "SELECT count() AS n FROM {t} WHERE throwIf(id > 50) = 0",
    "SELECT count() AS n FROM {t} WHERE accurateCast(id, 'Int8') >= 0",
    "SELECT count() AS n FROM {t} WHERE intDiv(1, id - 100) >= 0 OR 1",
    "SELECT count() AS n FROM {t} WHERE intDiv(1, toInt64(id) - 200) <= 0",
    "SELECT count() AS n FROM {t} AS a JOIN {t} AS b ON a.id = b.id AND throwIf(b.id > 50) = 0",
    "SELECT count() AS n FROM {t} AS a JOIN {t} AS b ON a.id = b.id WHERE throwIf(b.id > 50) = 0",
    "SELECT count() AS n FROM {t} WHERE id IN (SELECT id FROM {t} WHERE throwIf(id > 50) = 0)",
    "SELECT count() AS n FROM (SELECT * FROM {t}) WHERE throwIf(val LIKE '%globex%') = 0 AND throwIf(id >= 100) = 0",
    "WITH x AS (SELECT * FROM {t}) SELECT count() AS n FROM x WHERE modulo(1, toInt64(id) - 101) >= 0",
    "SELECT count() AS n FROM view(SELECT * FROM {t}) WHERE throwIf(id = 203) = 0",
    "SELECT uniqExact(tenant) + 4 AS n FROM {t} WHERE id = toUInt64(throwIf(id > 50)) OR 1",
    "SELECT count() AS n FROM {t} WHERE CAST(id AS Int8) >= 0 AND throwIf(id > 50) = 0 AND tenant != 'x'",
]


@pytest.mark.parametrize("q", SAME)
def test_rows_of_others_are_not_judged(fixed: tuple[Client, str], q: str) -> None:
    for pipe in ("mine", "over"):
        reply = _get(fixed, "/v0/sql", q=q.replace("{t}", pipe) + " FORMAT JSON")
        assert reply.status_code == 200, reply.text
        assert reply.json()["data"] == [{"n": 5}]
        over = _get(fixed, f"/v0/pipes/{pipe}.json", q=q.replace("{t}", "_"))
        assert (over.status_code, over.json().get("data")) == (200, [{"n": 5}]), over.text


@pytest.mark.parametrize("q", SAME)
def test_rows_that_a_pipe_leaves_out_are_not_judged(fixed: tuple[Client, str], q: str) -> None:
    """Also for those who fix nothing: who may read a pipe may not read what it reads."""
    client, _ = fixed
    scope = {"type": "PIPES:READ", "resource": "acmes"}
    value = sign(client, scope, name="reader")
    reply = _get((client, value), "/v0/sql", q=q.replace("{t}", "acmes") + " FORMAT JSON")
    assert (reply.status_code, reply.json().get("data")) == (200, [{"n": 5}]), reply.text
    reply = _get((client, value), "/v0/sql", q=q.replace("{t}", "_"), pipeline="acmes")
    assert reply.status_code == 200, reply.text


def test_conditions_that_no_row_can_fail_reach_the_index(fixed: tuple[Client, str]) -> None:
    client, _ = fixed
    value = sign(client, {"type": "PIPES:READ", "resource": "acmes"}, name="reader")
    reply = _get((client, value), "/v0/sql", q="SELECT val FROM acmes WHERE id = 3 FORMAT JSON").json()
    assert (reply["rows"], reply["statistics"]["rows_read"]) == (1, 2)
    admin = client("GET", "/v0/sql", params={"q": "SELECT val FROM acmes WHERE toUInt8(id) = 3 AND id = 3 FORMAT JSON"})
    assert admin.json()["statistics"]["rows_read"] == 2


@pytest.mark.parametrize("pipe", ["mine", "over"])
def test_counts_are_those_of_its_own_rows(fixed: tuple[Client, str], pipe: str) -> None:
    for _ in range(2):  # made, then kept
        told = _get(fixed, f"/v0/pipes/{pipe}.json").json()["statistics"]
        assert told["rows_read"] == 5
    told = _get(fixed, "/v0/sql", q=f"SELECT count() FROM {pipe} FORMAT JSON").json()["statistics"]
    assert told["rows_read"] == 1
    summary = _get(fixed, "/", query=f"SELECT * FROM {pipe}").headers["x-clickhouse-summary"]
    assert json.loads(summary)["read_rows"] == "5"


def test_who_fixes_nothing_is_told_what_was_read(fixed: tuple[Client, str]) -> None:
    """Also where both ask the same, and the result is kept."""
    client, _ = fixed
    for _ in range(2):
        told = client("GET", "/v0/pipes/mine.json", params={"tenant": "acme"}).json()["statistics"]
        assert told["rows_read"] > 5
        assert _get(fixed, "/v0/pipes/mine.json").json()["statistics"]["rows_read"] == 5


def test_plans_and_progress_are_not_for_it(fixed: tuple[Client, str]) -> None:
    assert _get(fixed, "/v0/pipes/mine/explain").status_code == 403
    assert _get(fixed, "/v0/pipes/mine.json", explain="true").status_code == 403
    assert _get(fixed, "/v0/sql", q="SELECT * FROM mine FORMAT JSONEachRowWithProgress").status_code == 403


def test_why_a_query_fails_is_not_told_where_rows_may_be_the_cause(fixed: tuple[Client, str]) -> None:
    reply = _get(fixed, "/v0/sql", q="SELECT throwIf(id = 1, 'a row of its own') FROM mine")
    assert (reply.status_code, "own" not in reply.text) == (400, True), reply.text
    reply = _get(fixed, "/v0/sql", q="SELECT nope FROM mine")
    assert "nope" in reply.text
