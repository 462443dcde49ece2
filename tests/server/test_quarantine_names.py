"""A data source that is called as a quarantine would be: who has rights on another has none on it."""

from __future__ import annotations

import pytest

from tests.server.conftest import Client, get, sign

_SCHEMA = "SCHEMA >\n    `id` UInt64 `json:$.id`\n\n"
_SOURCE = f'{_SCHEMA}ENGINE "MergeTree"\nENGINE_SORTING_KEY "id"\n'
BEFORE = {f"datasources/{name}.datasource": _SOURCE for name in ("plain", "other")}
AFTER = {
    "datasources/plain_quarantine.datasource": _SOURCE,
    "datasources/other_quarantine.datasource": _SOURCE,
    "pipes/all.pipe": "NODE n\nSQL >\n    SELECT id FROM plain_quarantine\nTYPE endpoint\n",
}


@pytest.fixture
def odd(empty: Client) -> Client:
    empty.workspace.deploy(BEFORE)
    empty.workspace.deploy(AFTER, allow_destructive=True)
    empty.workspace.ingest("plain_quarantine", [{"id": 4242}])
    empty.workspace.ingest("other_quarantine", [{"id": 4242}])
    return empty


def _token(client: Client, *scopes: str) -> str:
    value = client.instance.catalog.tokens.put(client.workspace.id, "odd", scopes, origin="api").value
    client.instance.tokens.refresh()
    return value


@pytest.mark.parametrize("name", ["plain", "other"])
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM {n}_quarantine",
        "SELECT 4242 IN {n}_quarantine",
        "SELECT count() FROM `{n}_quarantine`",
        "% SELECT * FROM {{{{table('{n}_quarantine')}}}}",
    ],
)
def test_reading(odd: Client, name: str, sql: str) -> None:
    text = sql.format(n=name)
    of_other = sign(odd, {"type": "DATASOURCES:READ", "resource": f"{name}_quarantine"}, name="own")
    assert "4242" in get(odd, "/v0/sql", of_other, q="SELECT * FROM " + f"{name}_quarantine").text
    assert get(odd, "/v0/sql", of_other, q=text).status_code == 200
    for scope in (f"DATASOURCES:READ:{name}", f"DATASOURCES:CREATE:{name}"):
        reply = get(odd, "/v0/sql", _token(odd, scope, f"DATASOURCES:READ:{name}_"), q=text)
        assert (reply.status_code, "4242" in reply.text.replace(text, "")) == (403, False), reply.text


@pytest.mark.parametrize("name", ["plain", "other"])
@pytest.mark.parametrize("version", ["v0", "v1"])
def test_truncating(odd: Client, name: str, version: str) -> None:
    def truncate(*scopes: str) -> int:
        headers = {"Authorization": f"Bearer {_token(odd, *scopes)}"}
        path = f"/{version}/datasources/{name}_quarantine/truncate"
        return odd("POST", path, token=None, headers=headers).status_code

    def count() -> object:
        return odd.workspace.sql(f"SELECT count() AS c FROM {name}_quarantine")[0]["c"]

    assert truncate(f"DATASOURCES:CREATE:{name}") == 403
    assert count() == 1
    assert truncate(f"DATASOURCES:CREATE:{name}_quarantine") == 205
    assert count() == 0


def test_a_quarantine_is_its_data_source_s(client: Client) -> None:
    client.workspace.ingest("events", [{"id": "a", "amount": "x", "at": "2026-01-01 00:00:00"}])
    value = _token(client, "DATASOURCES:READ:events", "DATASOURCES:CREATE:events")
    found = get(client, "/v0/sql", value, q="SELECT count() AS c FROM events_quarantine FORMAT JSON")
    assert found.json()["data"] == [{"c": 1}]
    headers = {"Authorization": f"Bearer {value}"}
    reply = client("POST", "/v0/datasources/events_quarantine/truncate", token=None, headers=headers)
    assert reply.status_code == 205


def test_a_data_source_takes_the_name_of_a_quarantine_and_gives_it_back(odd: Client) -> None:
    assert odd.workspace.sql("SELECT id FROM plain_quarantine") == [{"id": 4242}]
    odd.workspace.deploy(BEFORE, allow_destructive=True)
    odd.workspace.ingest("plain", [{"id": "none"}])
    assert odd.workspace.sql("SELECT count() AS c FROM plain_quarantine") == [{"c": 1}]
    assert odd.workspace.sql("SELECT count() AS c FROM plain") == [{"c": 0}]
