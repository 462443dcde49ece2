"""A body may take hours to come: a token that is taken away meanwhile is one no more when it is there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from urllib.parse import quote

import httpx
import pytest

from clickpipe.server import create_app
from tests.server.conftest import Client, get, make, sign

ROW = b'{"id":"late","amount":7,"at":"2026-01-01 00:00:00"}'
APPEND, READ = "DATASOURCES:APPEND:events", "PIPES:READ:totals"
FORM = b'--x\r\nContent-Disposition: form-data; name="query"\r\n\r\nSELECT 1\r\n--x--\r\n'
FILE = b'--x\r\nContent-Disposition: form-data; name="ndjson"; filename="a.ndjson"\r\n\r\n' + ROW + b"\r\n--x--\r\n"
PROJECT = (
    b'--x\r\nContent-Disposition: form-data; name="data_project://"; filename="p.pipe"\r\n\r\n'
    b"NODE n\nSQL >\n    SELECT 1 AS a\nTYPE endpoint\n\r\n--x--\r\n"
)
PARTS = {"Content-Type": "multipart/form-data; boundary=x"}
PLAIN = {"Content-Type": "application/x-www-form-urlencoded"}
REQUESTS = {
    "events": ("/v0/events?name=events&wait=true", ROW, {}, [APPEND]),
    "an import": ("/v0/datasources?name=events&format=ndjson", ROW, {}, [APPEND]),
    "a form with a file": ("/v0/datasources?name=events&format=ndjson", FILE, PARTS, [APPEND]),
    "a job": ("/v1/datasources/events/append?format=ndjson", ROW, {}, [APPEND]),
    "rows replaced": ("/v1/datasources/events/replace?format=ndjson", ROW, {}, ["DATASOURCES:CREATE:events"]),
    "rows deleted": ("/v0/datasources/events/delete", b"delete_condition=1", PLAIN, ["DATASOURCES:CREATE:events"]),
    "a call": ("/v0/pipes/totals.json", b"limit=1", PLAIN, [READ]),
    "SQL": ("/v0/sql", b"SELECT * FROM totals", {}, [READ]),
    "SQL of ClickHouse's": ("/", b"SELECT * FROM totals", {}, [READ]),
    "a form of ClickHouse's": ("/", FORM, PARTS, [READ]),
    "a copy": ("/v0/pipes/snapshot/copy", b"a=1", PLAIN, ["PIPES:CREATE:snapshot"]),
    "a token": ("/v0/tokens?name=other", json.dumps({"scopes": [{"type": "TOKENS"}]}).encode(), {}, ["TOKENS"]),
    "a deployment": (
        "/v1/deploy?auto_promote=true&allow_destructive_operations=true",
        PROJECT,
        PARTS,
        ["WORKSPACE:DEPLOY"],
    ),
    "a build": ("/v1/build", PROJECT, PARTS, ["WORKSPACE:DEPLOY"]),
}


def _removed(client: Client, value: str) -> None:
    name = "held" if not value.startswith("ey") else quote(value, safe="")
    assert client("DELETE", f"/v0/tokens/{name}").status_code == 200


def _narrowed(client: Client, value: str) -> None:
    assert value
    assert client("PUT", "/v0/tokens/held", params={"scope": "PIPES:READ:strict"}).status_code == 200


def _renewed(client: Client, value: str) -> None:
    assert value
    assert client("POST", "/v0/tokens/held/refresh").status_code == 200


def _kept(client: Client, value: str) -> None:
    """What widens a token, or changes another, stops no upload."""
    assert value
    own = [scope["type"] + ":" + scope["resource"] for scope in _scopes(client) if "resource" in scope]
    own = own or [scope["type"] for scope in _scopes(client)]
    assert client("PUT", "/v0/tokens/held", params={"scope": [*own, "PIPES:READ:strict"]}).status_code == 200


def _scopes(client: Client) -> list[dict[str, str]]:
    found: list[dict[str, str]] = client("GET", "/v0/tokens/held").json()["scopes"]
    return found


def _slowly(client: Client, what: str, value: str, meanwhile: Callable[[Client, str], None]) -> httpx.Response:
    """Send all of a body but its end; do something; send the end."""
    path, body, headers, _ = REQUESTS[what]
    begun = asyncio.Event

    async def send() -> httpx.Response:
        reading = begun()

        async def parts() -> object:
            yield body[:-3]
            reading.set()
            await asyncio.to_thread(meanwhile, client, value)
            yield body[-3:]

        transport = httpx.ASGITransport(create_app(client.instance), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60) as own:
            given = {**headers, "Authorization": f"Bearer {value}", "Transfer-Encoding": "chunked"}
            return await own.post(path, content=parts(), headers=given)  # type: ignore[arg-type]

    return asyncio.run(send())


@pytest.mark.parametrize("meanwhile", [_removed, _narrowed, _renewed])
@pytest.mark.parametrize("what", REQUESTS)
def test_a_token_that_was_taken_away_does_nothing(
    client: Client, what: str, meanwhile: Callable[[Client, str], None]
) -> None:
    before = get(client, "/v0/pipes/totals.json", client.token("workspace admin token").value).json()["data"]
    value = make(client, *REQUESTS[what][3], name="held")
    response = _slowly(client, what, value, meanwhile)
    assert response.status_code == 403, (what, response.text)
    after = get(client, "/v0/pipes/totals.json", client.token("workspace admin token").value).json()["data"]
    assert after == before
    assert "other" not in client("GET", "/v0/tokens").text


def test_a_jwt_that_is_revoked_does_nothing(client: Client) -> None:
    value = sign(client, {"type": "DATASOURCES:APPEND", "resource": "events"})
    assert _slowly(client, "events", value, _removed).status_code == 403
    value = sign(client, {"type": "PIPES:READ", "resource": "totals"}, name="another")
    assert _slowly(client, "SQL", value, _removed).status_code == 403


@pytest.mark.parametrize("what", ["events", "an import", "a call", "SQL", "a form of ClickHouse's", "a build"])
def test_a_token_that_may_do_more_goes_on(client: Client, what: str) -> None:
    value = make(client, *REQUESTS[what][3], name="held")
    response = _slowly(client, what, value, _kept)
    assert response.status_code == 200, response.text
