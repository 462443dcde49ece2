"""Projects that run on the hosted engine, deployed and asked: what the compiler takes has to answer, too."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.server.conftest import Client
from tests.server.test_deployments import deploy

FILES = {
    "datasources/events.datasource": (
        "SCHEMA >\n    id String `json:$.id`,\n    n UInt16 `json:$.n`,\n    at DateTime `json:$.at`,\n"
        "    seen DateTime64(3) `json:$.seen` DEFAULT ''\n"
    ),
    "datasources/prices.datasource": (
        "SCHEMA >\n    sku String `json:$.sku`,\n    price Float64 `json:$.price`\n"
        "ENGINE Join\nENGINE_JOIN_STRICTNESS ANY\nENGINE_JOIN_TYPE LEFT\nENGINE_KEY_COLUMNS sku\n"
    ),
    "datasources/shop.orders.datasource": ("SCHEMA >\n    id String `json:$.id`,\n    total Float64 `json:$.total`\n"),
    "datasources/bad.datasource": "SCHEMA >\n    id Nullable(String),\n    reasons Array(String)\n",
    "pipes/bad_mv.pipe": (
        "NODE n\nSQL >\n    SELECT id, c__error AS reasons FROM events_quarantine\nTYPE materialized\nDATASOURCE bad\n"
    ),
    "pipes/priced.pipe": (
        "NODE n\nSQL >\n    SELECT id, joinGet('prices', 'price', id) AS price FROM events ORDER BY id\nTYPE endpoint\n"
    ),
    "pipes/ordered.pipe": (
        "NODE few\nSQL >\n    SELECT id, n FROM events WHERE n < 10\n"
        "NODE n\nSQL >\n    SELECT shop.orders.id AS id, few.n AS n, o.total\n"
        "    FROM shop.orders o JOIN few f ON few.id = shop.orders.id ORDER BY id\nTYPE endpoint\n"
    ),
    "pipes/recent.pipe": (
        "NODE n\nSQL >\n    %\n    SELECT toStartOfInterval(at, INTERVAL {{String(step, '1 day')}}) AS t, count() AS c "
        "FROM events WHERE at > toDateTime('2026-01-03 00:00:00') - INTERVAL {{String(back, '10 days')}}\n"
        "    GROUP BY t ORDER BY t\nTYPE endpoint\n"
    ),
    "pipes/named.pipe": "NODE n\nSQL >\n    %\n    SELECT id FROM events WHERE id = {{ name }}\nTYPE endpoint\n",
    "pipes/picked.pipe": (
        "NODE n\nSQL >\n    %\n    SELECT {{columns(cols)}} FROM events "
        "WHERE id IN {{Array(ids, \"'a', 'b'\", 'a,b')}} "
        "ORDER BY id\nTYPE endpoint\n"
    ),
    "pipes/branches.pipe": (
        "NODE n\nSQL >\n    %\n    SELECT count() AS c FROM {% if defined(g) %} absent {% else %} events {% end %} e\n"
        "TYPE endpoint\n"
    ),
    "pipes/classic.pipe": 'TOKEN "reader" READ\nNODE n\nSQL >\n    SELECT count() AS c FROM events\n',
    "pipes/classic_reader.pipe": "NODE n\nSQL >\n    SELECT c FROM classic\nTYPE endpoint\n",
}


@pytest.fixture
def hosted(empty: Client) -> Client:
    reply = deploy(empty, FILES)
    assert reply.status_code == 200, reply.text
    rows = [{"id": name, "n": n, "at": f"2026-01-0{n} 00:00:00"} for n, name in enumerate("abc", 1)]
    send(empty, "events", [*rows, {"id": "bad", "n": "many", "at": "2026-01-01 00:00:00"}])
    send(empty, "prices", [{"sku": "a", "price": 1.5}])
    send(empty, "shop.orders", [{"id": "a", "total": 7}, {"id": "x", "total": 8}])
    return empty


def send(client: Client, name: str, rows: list[dict[str, Any]]) -> None:
    body = "\n".join(map(json.dumps, rows))
    assert client("POST", f"/v0/events?name={name}&wait=true", content=body).status_code == 200


def rows(client: Client, path: str) -> list[dict[str, Any]]:
    reply = client("GET", f"/v0/pipes/{path}")
    assert reply.status_code == 200, reply.text
    found: list[dict[str, Any]] = reply.json()["data"]
    return found


def test_they_answer(hosted: Client) -> None:
    assert rows(hosted, "priced.json") == [{"id": "a", "price": 1.5}, {"id": "b", "price": 0}, {"id": "c", "price": 0}]
    assert rows(hosted, "ordered.json") == [{"id": "a", "n": 1, "total": 7}]
    assert rows(hosted, "recent.json") == [{"t": f"2026-01-0{n} 00:00:00", "c": 1} for n in (1, 2, 3)]
    assert rows(hosted, "recent.json?step=1%20week&back=1%20days") == [{"t": "2025-12-29", "c": 1}]
    assert rows(hosted, "named.json?name=b") == [{"id": "b"}]
    assert rows(hosted, "picked.json?cols=id,n") == [{"id": "a", "n": 1}, {"id": "b", "n": 2}]
    assert rows(hosted, "picked.json?cols=n&ids=c") == [{"n": 3}]
    assert rows(hosted, "classic.json") == rows(hosted, "classic_reader.json") == [{"c": 3}]
    seen = hosted("GET", "/v0/sql", params={"q": "SELECT DISTINCT seen FROM events FORMAT JSON"}).json()["data"]
    assert seen == [{"seen": "1970-01-01 00:00:00.000"}]


def test_a_view_of_a_quarantine_gets_its_rows(hosted: Client) -> None:
    found = hosted("GET", "/v0/sql", params={"q": "SELECT id, length(reasons) AS n FROM bad FORMAT JSON"}).json()[
        "data"
    ]
    assert found == [{"id": "bad", "n": 1}]


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("named.json", 400, 'Template Syntax Error: expression "name" evaluated to null'),
        ("picked.json", 400, "Template Syntax Error: Missing columns() default value"),
        ("branches.json?g=1", 400, "Resource 'absent' not found"),
        ("recent.json?step=1%20day)%20OR%20(1", 400, ""),
        ("recent.json?step=day", 400, ""),
        ("recent.json?step='1%20day'", 400, ""),
    ],
)
def test_what_is_asked_wrongly(hosted: Client, path: str, status: int, message: str) -> None:
    reply = hosted("GET", f"/v0/pipes/{path}")
    assert reply.status_code == status
    assert message in reply.json()["error"]


def test_a_project_is_as_strict_as_its_settings_say(empty: Client) -> None:
    files = {name: text for name, text in FILES.items() if "branches" in name or "events" in name}
    assert deploy(empty, {**files, "clickpipe.toml": 'broken_branches = "error"\n'}, "check=true").status_code == 400
    assert deploy(empty, {**files, "clickpipe.toml": 'copy_sources = "url"\n'}, "check=true").status_code == 200


def test_what_needs_missing_data_sources_is_left_out_when_that_is_asked_for(empty: Client) -> None:
    files = {
        **FILES,
        "pipes/needs.pipe": "NODE n\nSQL >\n    SELECT id FROM crm.people\nTYPE endpoint\n",
        "pipes/needs_it.pipe": "NODE n\nSQL >\n    SELECT id FROM needs\nTYPE endpoint\n",
    }
    refused = deploy(empty, files, "check=true")
    assert refused.status_code == 400
    assert "'crm.people' is not in the project" in refused.text
    reply = deploy(empty, files, "auto_promote=true&skip_incomplete=true").json()
    assert reply["result"] == "success"
    told = [f["resource"] for f in reply["deployment"]["feedback"] if "left out" in f["message"]]
    assert told == ["Pipe needs.pipe", "Pipe needs_it.pipe"]
    assert rows(empty, "classic.json") == [{"c": 0}]
    assert empty("GET", "/v0/pipes/needs_it.json").status_code == 404


def test_copies_read_elsewhere_where_the_server_says_so(empty: Client) -> None:
    copy = (
        "NODE n\nSQL >\n    SELECT id, n, at FROM s3('https://bucket/rows.csv', 'CSV', "
        "'id String, n UInt16, at DateTime')\nTYPE copy\nTARGET_DATASOURCE events\n"
    )
    refused = deploy(empty, {**FILES, "pipes/c.pipe": copy}, "check=true")
    assert refused.status_code == 400
    assert 'copy_sources = "s3"' in refused.json()["deployment"]["errors"][0]["error"]
