"""Data sources that read topics and buckets are stopped, and go on."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from httpx import Response

from clickpipe.connect import File, Objects
from tests.server.conftest import Client, get, make

FILES = {
    "plain.datasource": "SCHEMA >\n    id String `json:$.id`\n",
    "lake.connection": "TYPE s3\nS3_REGION eu-west-1\nS3_ACCESS_KEY a\nS3_SECRET b\n",
    "clicks.datasource": "SCHEMA >\n    id String `json:$.id`\nIMPORT_CONNECTION_NAME lake\n"
    "IMPORT_BUCKET_URI s3://bucket/in/*.csv\nIMPORT_SCHEDULE @on-demand\n",
}


@pytest.fixture
def client(empty: Client) -> Client:
    empty.workspace.deploy(FILES)
    return empty


def test_stop_and_start(client: Client) -> None:
    state = "/v0/datasources/clicks/scheduling/state"
    assert client("GET", state).json() == {"state": "running"}
    assert client("POST", "/v0/datasources/clicks/stop").json() == {"name": "clicks", "state": "paused"}
    assert client("GET", state).json() == {"state": "paused"}
    assert client("POST", "/v0/datasources/clicks/start").json()["state"] == "running"
    assert client("PUT", state, json={"state": "paused"}).json()["state"] == "paused"
    assert client("GET", state).json() == {"state": "paused"}
    by_id = client("GET", "/v0/datasources/clicks").json()["id"]
    assert client("PUT", f"/v0/datasources/{by_id}/scheduling/state", json={"state": "running"}).status_code == 200
    assert client("GET", state).json() == {"state": "running"}


@pytest.mark.parametrize("body", [b"", b"paused", b"[]", b"1", b'{"state": "off"}', b'{"state": []}', b"[" * 9999])
def test_other_states_are_refused(client: Client, body: bytes) -> None:
    reply = client("PUT", "/v0/datasources/clicks/scheduling/state", content=body)
    assert (reply.status_code, '{"state": "paused"}' in reply.json()["error"]) == (400, True)


@pytest.mark.parametrize(
    "body",
    [b"3", b"[]", b"{", b'{"max_files": 0}', b'{"max_files": 11}', b'{"max_files": "2"}', b'{"max_files": true}'],
)
def test_other_samples_are_refused(client: Client, body: bytes) -> None:
    reply = client("POST", "/v0/datasources/clicks/sample", content=body)
    assert (reply.status_code, "from 1 to 10" in reply.json()["error"]) == (400, True)


def test_connections_are_listed_without_secrets_for_those_who_may_read_all(client: Client) -> None:
    client("POST", "/v0/datasources/clicks/stop")
    [found] = client("GET", "/v0/connectors").json()["connectors"]
    assert {**found, "id": ""} == {
        "id": "",
        "name": "lake",
        "service": "s3",
        "settings": {"s3_region": "eu-west-1"},
        "linkers": [{"name": "clicks", "state": "stopped", "error": ""}],
    }
    assert get(client, "/v0/connectors", make(client, "DATASOURCES:READ:clicks")).json() == {"connectors": []}


def test_what_reads_nothing(client: Client) -> None:
    reply = client("POST", "/v0/datasources/plain/stop")
    assert (reply.status_code, reply.json()["error"]) == (400, "'plain' reads neither a topic nor a bucket.")
    assert client("POST", "/v0/datasources/nothing/stop").status_code == 404
    assert client("POST", "/v0/datasources/plain/scheduling/runs").status_code == 400
    assert client("POST", "/v0/datasources/nothing/scheduling/runs").status_code == 404


def test_a_running_job_is_told_to_all_who_asked_for_it(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def listed(*_: object) -> Iterator[list[File]]:
        over.wait(60)
        yield []

    monkeypatch.setattr(Objects, "pages", listed)
    one, two, other = (make(client, "DATASOURCES:CREATE:clicks", name=name) for name in ("one", "two", "other"))
    path = "/v0/datasources/clicks/scheduling/runs"
    try:
        jobs = [asked(client, token, "POST", path).json()["id"] for token in (one, two, two)]
        seen = [asked(client, token, "GET", f"/v0/jobs/{jobs[0]}").status_code for token in (one, two, other)]
    finally:
        over.set()
    client.instance.jobs.wait(jobs[0])
    assert len(set(jobs)) == 1
    assert seen == [200, 200, 404]
    assert asked(client, one, "GET", f"/v0/jobs/{jobs[0]}").json()["status"] == "done"


def asked(client: Client, token: str, method: str, path: str) -> Response:
    return client(method, path, token=None, headers={"Authorization": f"Bearer {token}"})
