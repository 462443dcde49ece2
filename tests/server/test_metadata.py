"""Pipes and data sources as published clients read them: which keys stand there, by name and by id."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment
from lark import Lark

from clickpipe.catalog import store
from clickpipe.engine import EmbeddedEngine
from tests.server.conftest import FILES, Client

SUMS = "SCHEMA >\n    id String,\n    total Int64\n\nENGINE SummingMergeTree\nENGINE_SORTING_KEY id\n"
SUMS_MV = "NODE n\nSQL >\n    SELECT id, toInt64(amount) AS total FROM events\nTYPE materialized\nDATASOURCE sums\n"
VIEW = {"datasources/sums.datasource": SUMS, "pipes/sums_mv.pipe": SUMS_MV}
COLUMN = {"name", "type", "codec", "default_value", "jsonpath", "nullable", "normalized_name"}
_FEW = 20
ENGINE = {"engine", "engine_sorting_key", "engine_partition_key", "engine_primary_key"}


def pipes(client: Client, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client("GET", f"/v0/pipes{query}").json()["pipes"]
    return found


def data_sources(client: Client, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client("GET", f"/v0/datasources{query}").json()["datasources"]
    return found


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("?attrs=id,name", {"id", "name", "url"}),
        ("?attrs=type,id,name,description,endpoint,url", {"type", "id", "name", "description", "endpoint", "url"}),
        ("?attrs=name,nodes", {"name", "url"}),
        ("?attrs=name&node_attrs=id", {"name", "url", "nodes"}),
        ("?attrs=nothing", {"url"}),
    ],
)
def test_only_the_keys_that_are_asked_for(client: Client, query: str, keys: set[str]) -> None:
    for pipe in pipes(client, query):
        assert set(pipe) == keys
        assert all(set(node) == {"id"} for node in pipe.get("nodes", []))
    assert set(client("GET", f"/v0/pipes/totals{query}").json()) == keys


def test_without_asking_all_of_a_pipe_is_sent(client: Client) -> None:
    assert pipes(client, "?attrs=") == pipes(client) == client("GET", "/v1/pipes").json()["pipes"]
    totals = next(p for p in pipes(client) if p["name"] == "totals")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", totals["updated_at"])
    (node,) = totals["nodes"]
    assert {"id", "name", "sql", "node_type", "params", "columns"} <= set(node)
    assert [p["name"] for p in node["params"]] == ["least", "ids", "limit"]
    assert client("GET", f"/v0/pipes/{totals['id']}").json() == totals
    assert client("GET", f"/v0/pipes/{totals['id']}", token="reader").json()["name"] == "totals"
    assert client("GET", f"/v0/pipes/{totals['id']}", token="writer").status_code == 403


def test_what_pipes_write_to(client: Client) -> None:
    client.workspace.deploy({**FILES, **VIEW})
    found = {p["name"]: p for p in pipes(client)}
    ids = {s["name"]: s["id"] for s in data_sources(client)}
    assert found["sums_mv"]["materialized_datasource"] == "sums"
    assert found["sums_mv"]["nodes"][0]["materialized"] == ids["sums"]
    copy = {k: v for k, v in found["snapshot"].items() if k.startswith("copy_")}
    assert copy == {
        "copy_target_datasource": "totals_copy",
        "copy_schedule": "@on-demand",
        "copy_mode": "replace",
        "copy_paused": False,
    }
    assert not [key for key in found["totals"] if "datasource" in key]


def test_data_sources_with_columns_have_these_keys_alone(client: Client) -> None:
    always = {"id", "name", "columns", "engine", "indexes", "new_columns_detected", "quarantine_rows"}
    for source in data_sources(client, "?attrs=columns"):
        assert set(source) == always
        assert all(set(column) == COLUMN for column in source["columns"])
        assert set(source["engine"]) == ENGINE
    assert set(data_sources(client, "?attrs=columns,statistics")[0]) == always | {"statistics"}
    assert set(data_sources(client, "?attrs=statistics")[0]) == {"id", "name", "statistics"}
    assert set(client("GET", "/v0/datasources/events?attrs=name").json()) == {"id", "name"}


def test_all_of_a_data_source(client: Client) -> None:
    found = {s["name"]: s for s in data_sources(client)}
    events = found["events"]
    assert (events["type"], events["statistics"]["row_count"], events["engine"]["engine"]) == ("ndjson", 3, "MergeTree")
    assert [u["name"] for u in events["used_by"]] == ["snapshot", "totals"]
    detail = client("GET", f"/v0/datasources/{events['id']}").json()
    assert (detail["name"], detail["engine"]["sorting_key"], detail["schema"]["columns"]) == (
        "events",
        "at",
        events["columns"],
    )
    assert client("GET", "/v0/datasources/events.datasource").headers["content-type"] == "text/plain"
    assert client("GET", "/v0/datasources/nope").json()["error"] == 'Data Source "nope" does not exist'


def test_pipes_that_a_token_may_not_read_are_not_told(client: Client) -> None:
    client("POST", "/v0/tokens", params={"name": "mine", "scope": ["DATASOURCES:READ:events", "PIPES:READ:totals"]})
    (events,) = client("GET", "/v0/datasources", token="mine").json()["datasources"]
    assert [u["name"] for u in events["used_by"]] == ["totals"]


def test_small_routes(client: Client) -> None:
    assert client("GET", "/version", token=None).headers["content-type"] == "text/plain"
    assert client("GET", "/v0/regions", token=None).json() == {"regions": []}
    assert client("GET", "/v0/connectors").json() == {"connectors": []}
    assert client("GET", "/v1/pipes/totals.pipe").text == FILES["pipes/totals.pipe"]


def test_the_workspace_of_a_token(client: Client) -> None:
    for version in ("v0", "v1"):
        found = client("GET", f"/{version}/workspace").json()
        assert (found["id"], found["name"], found["is_branch"]) == (client.workspace.id, client.workspace.name, False)
        (listed,) = client("GET", f"/{version}/user/workspaces?with_environments=true").json()["workspaces"]
        assert (listed["id"], listed["token"], listed["role"]) == (
            client.workspace.id,
            client.token("workspace admin token").value,
            "admin",
        )
    (listed,) = client("GET", "/v1/user/workspaces/", token="reader").json()["workspaces"]
    assert (listed["token"], listed["role"]) == ("", "viewer")
    assert client("GET", "/v0/auth", token="reader").json() == {"is_valid": True, "is_user": False}


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("format=json&pipe=P&q=&token=T", "/v0/pipes/P.json?token=T"),
        ("pipe=a/b&format=csv&token=a+b&x=%26", "/v0/pipes/a%2Fb.csv?token=a+b&x=%26"),
        ("q=SELECT+1", "/v0/sql?q=SELECT+1"),
    ],
)
def test_the_url_of_a_call(client: Client, query: str, path: str) -> None:
    text = client("GET", f"/examples/query.http?{query}", token=None).text
    assert re.sub(r"^https?://[^/]+", "", text) == path


def test_what_depends_on_a_data_source(client: Client) -> None:
    totals = VIEW["datasources/sums.datasource"].replace("total Int64", "total Int64, n UInt8")
    again = SUMS_MV.replace("FROM events", "FROM sums").replace("toInt64(amount) AS total", "total, toUInt8(1) AS n")
    more = {
        "datasources/more.datasource": totals,
        "pipes/more_mv.pipe": again.replace("DATASOURCE sums", "DATASOURCE more"),
    }
    client.workspace.deploy({**FILES, **VIEW, **more})

    def found(query: str) -> Any:
        reply = client("GET", f"/v0/dependencies?no_deps=false&check_for_partial_replace=true&{query}").json()
        assert reply["incompatible_datasources"] == {}
        return reply["dependencies"]

    assert found("datasource=events&recursive=false") == {"sums": ["sums_mv"]}
    assert found("datasource=events&recursive=true") == {"sums": ["sums_mv"], "more": ["more_mv"]}
    assert found("datasource=more") == {}
    assert found("") == {"sums": ["sums_mv"], "more": ["more_mv"]}
    assert found("pipe=more_mv") == {"more": ["more_mv"]}
    assert found("match=su") == {"sums": ["sums_mv"]}
    assert client("GET", "/v0/dependencies?datasource=nothing").status_code == 404


@pytest.mark.parametrize("path", ["/v0/pipes", "/v0/datasources", "/v1/deployments", "/v0/pipes?attrs=id,updated_at"])
def test_listing_500_pipes_parses_nothing_again(empty: Client, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Counted, not timed: what the answer says was parsed when it was deployed."""
    files = {f"pipes/p{n}.pipe": f"NODE n\nSQL >\n    SELECT {n} AS a\nTYPE endpoint\n" for n in range(500)}
    empty.workspace.deploy({**files, "datasources/events.datasource": FILES["datasources/events.datasource"]})
    counted: Counter[str] = Counter()

    def count(owner: Any, name: str) -> None:
        before = getattr(owner, name)

        def called(*args: Any, **named: Any) -> Any:
            counted[f"{owner.__name__.rpartition('.')[2]}.{name}"] += 1
            return before(*args, **named)

        monkeypatch.setattr(owner, name, called)

    empty("GET", path)  # service data sources are made at the first
    for owner, name in (
        (Lark, "parse"),
        (Environment, "_parse"),
        (EmbeddedEngine, "submit"),
        (EmbeddedEngine, "stream"),
        (Path, "open"),
        (Path, "read_text"),
        (json, "loads"),
        (store, "_deployment"),
    ):
        count(owner, name)
    statements: list[str] = []
    rows = empty.instance.catalog.rows

    def listed(sql: str, *args: object) -> Any:
        statements.append(sql)
        return rows(sql, *args)

    monkeypatch.setattr(empty.instance.catalog, "rows", listed)
    assert empty("GET", path).status_code == 200
    assert {name: n for name, n in counted.items() if n > _FEW} == {}
    assert counted["Lark.parse"] == counted["Environment._parse"] == counted["store._deployment"] == 0
    assert len(statements) <= _FEW, Counter(statements).most_common(3)
