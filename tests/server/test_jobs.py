"""Whose a job is: who started it may ask for it, and who may see all."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from httpx import Response

from tests.server.conftest import FILES, Client
from tests.server.test_metadata import VIEW

_ROW = b'{"id": "a", "amount": 1, "at": "2026-01-01 00:00:00"}'
_DELETE = ("POST", "/v0/datasources/totals_copy/delete?delete_condition=" + quote("amount = 9"), b"")
_APPEND = ("POST", "/v1/datasources/events/append?format=ndjson", _ROW)
_AWAITED = ("POST", "/v0/datasources?mode=append&name=events&format=ndjson", _ROW)
_REPLACE = ("POST", "/v1/datasources/totals_copy/replace?format=ndjson", _ROW)
_COPY = ("POST", "/v0/pipes/snapshot/copy", b"")
_REPLAY = ("POST", "/v1/datasources/events/quarantine/replay", b"")
_REBUILD = ("POST", "/v1/materializations/sums_mv/populate", b"")
_POPULATE = ("POST", "/v0/pipes/sums_mv/nodes/n/population", b"")
_STARTS = (_DELETE, _APPEND, _AWAITED, _REPLACE, _COPY, _REPLAY, _REBUILD, _POPULATE)
_SCOPES = ("DATASOURCES:CREATE", "DATASOURCES:APPEND", "PIPES:CREATE", "DATASOURCES:READ", "PIPES:READ", "TOKENS")

Made = Callable[..., str]


def ask(client: Client, value: str, method: str, path: str, **more: Any) -> Response:
    """Ask with the token of this value."""
    return client(method, path, token=None, headers={"Authorization": f"Bearer {value}"}, **more)


def told_of(client: Client, job: str, value: str) -> Response:
    return ask(client, value, "GET", f"/v0/jobs/{job}")


@pytest.fixture
def made(client: Client) -> Made:
    """Make a token and return its value."""

    def make(*scopes: str, name: str = "") -> str:
        tokens = client.instance.catalog.tokens
        number = len(tokens.all(client.workspace.id))
        value = tokens.put(client.workspace.id, name or f"token {number}", scopes, origin="api").value
        client.instance.tokens.refresh()
        return value

    return make


def started(client: Client, asked: tuple[str, str, bytes], token: str) -> str:
    method, path, body = asked
    reply = ask(client, token, method, path, content=body)
    assert reply.status_code in {200, 202}, reply.text
    told = reply.json()
    job: str = told.get("job_id") or told["import_id"]
    client.instance.jobs.wait(job)
    return job


@pytest.mark.parametrize("asked", _STARTS, ids=[path.partition("?")[0] for _, path, _ in _STARTS])
def test_a_job_is_told_to_who_started_it_and_to_who_may_see_all(
    client: Client, made: Made, asked: tuple[str, str, bytes]
) -> None:
    client.workspace.deploy({**FILES, **VIEW})
    own = made(*_SCOPES)
    job = started(client, asked, own)
    for token in (own, made("WORKSPACE:READ_ALL"), made("ADMIN")):
        told = told_of(client, job, token)
        assert (told.status_code, told.json()["status"]) == (200, "done"), told.text
    others = (made(*_SCOPES), made("WORKSPACE:DEPLOY"), made("DATASOURCES:READ:events"))
    for token in others:
        told, unknown = (told_of(client, one, token) for one in (job, "x" * len(job)))
        assert told.status_code == unknown.status_code == 404
        assert told.json()["error"].replace(job, "x" * len(job)) == unknown.json()["error"]


def test_a_deployment_is_told_to_who_deployed(client: Client, made: Made) -> None:
    own, other = made("WORKSPACE:DEPLOY"), made("WORKSPACE:DEPLOY")
    files = [("data_project://", (name, text.encode())) for name, text in {**FILES, **VIEW}.items()]
    assert ask(client, own, "POST", "/v1/deploy", files=files).status_code == 200
    newest = client("GET", "/v0/jobs?kind=deployment").json()["jobs"][0]["id"]
    assert [told_of(client, newest, token).status_code for token in (own, other)] == [200, 404]


def test_jwts_of_one_name_are_several_tokens(client: Client) -> None:
    """Services sign a token for each of their users, often with the same name."""
    scopes = [{"type": "DATASOURCES:APPEND", "resource": "events"}]
    one, other = (
        client.instance.tokens.sign(client.workspace.id, "user", time.time() + seconds, scopes, {})
        for seconds in (600, 700)
    )
    job = started(client, _APPEND, one)
    head, _, signature = one.rpartition(".")
    assert told_of(client, job, f"{head}.{signature}=").status_code == 200
    client.instance.tokens.refresh()
    assert [told_of(client, job, token).status_code for token in (one, other)] == [200, 404]


def test_a_token_with_another_value_has_the_same_jobs(client: Client, made: Made) -> None:
    job = started(client, _APPEND, made("DATASOURCES:APPEND:events", name="loader"))
    fresh = client("POST", "/v0/tokens/loader/refresh").json()["token"]
    assert told_of(client, job, fresh).status_code == 200


def test_a_token_that_takes_a_name_has_not_its_jobs(client: Client, made: Made) -> None:
    job = started(client, _APPEND, made("DATASOURCES:APPEND:events", name="loader"))
    assert client("DELETE", "/v0/tokens/loader").status_code == 200
    assert told_of(client, job, made("DATASOURCES:APPEND:events", name="loader")).status_code == 404


def test_what_the_server_does_by_itself_is_nobodys(client: Client, made: Made) -> None:
    job = client.workspace.copies.start("snapshot", {}).id
    client.instance.jobs.wait(job)
    assert told_of(client, job, made(*_SCOPES)).status_code == 404
    assert client("GET", f"/v0/jobs/{job}").status_code == 200
