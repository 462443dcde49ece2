"""What holds for every route."""

from __future__ import annotations

import errno
import sqlite3

import pytest

from clickpipe.engine import EngineError
from clickpipe.server.app import ROUTES
from tests.server.conftest import Client

PATHS = [
    (m, p.replace("{name}", "x").replace("{format}", "json").replace("{id:number}", "1").replace("{id}", "1"))
    for m, p, _ in ROUTES
]
PUBLIC = {"/v0/health", "/v0/ready", "/ping", "/", "/version", "/v0/regions", "/examples/query.http"} | {
    "/api/cli-login",
    "/clickpipe/local/cli-login",
}
PRIVATE = [(m, p) for m, p in PATHS if p not in PUBLIC]


@pytest.mark.parametrize(("method", "path"), PRIVATE)
@pytest.mark.parametrize("slash", ["", "/"])
def test_without_a_token_every_route_answers_403(empty: Client, method: str, path: str, slash: str) -> None:
    for query in ("", "?token=", "?token=wrong&cli_version=5.0.2"):
        response = empty(method, f"{path}{slash}{query}", token=None)
        assert response.status_code == 403
        assert isinstance(response.json()["error"], str)
        assert "wrong" not in response.text


def test_health_needs_no_token(empty: Client) -> None:
    assert empty("GET", "/v0/health", token=None).json()["status"] == "ok"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v0/nope", 404),
        ("DELETE", "/v0/sql", 405),
        ("GET", "/v1/deployments/99", 404),
    ],
)
def test_every_refusal_is_json_with_an_error(empty: Client, method: str, path: str, status: int) -> None:
    response = empty(method, path)
    assert response.status_code == status
    assert response.json()["error"]


def test_cors_is_open(empty: Client) -> None:
    preflight = empty("OPTIONS", "/v0/events?name=x", token=None)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    assert empty("GET", "/v0/nope").headers["access-control-allow-origin"] == "*"


def test_a_bug_gives_a_request_id_and_no_details(empty: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> None:
        raise RuntimeError("password is hunter2")

    monkeypatch.setattr(empty.instance.catalog.jobs, "newest", broken)
    response = empty("GET", "/v0/jobs")
    assert response.status_code == 500
    assert "hunter2" not in response.text
    assert response.headers["x-request-id"] in response.json()["error"]


def _sqlite_full() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (EngineError("Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE)"), 503),
        (EngineError("Cannot write to file /data/x: , errno: 28, strerror: No space left on device"), 503),
        (_sqlite_full(), 503),
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), 503),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 503),
        (EngineError("There is not enough space between the words"), 500),
        (sqlite3.OperationalError("database is locked"), 500),
        (OSError(errno.EACCES, "Permission denied", "/data/x"), 500),
    ],
)
def test_a_full_disk_is_no_bug(empty: Client, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int) -> None:
    def broken(_: str) -> None:
        raise error

    monkeypatch.setattr(empty.instance.catalog.jobs, "newest", broken)
    response = empty("GET", "/v0/jobs")
    assert (response.status_code, "/data/x" in response.text) == (status, False)
    if status == 503:
        assert response.json()["error"].startswith("The disk of the server is full.")
        assert response.headers["retry-after"] == "1"


def test_listings(client: Client) -> None:
    sources = client("GET", "/v0/datasources").json()["datasources"]
    assert [s["name"] for s in sources] == ["events", "totals_copy"]
    assert sources[0]["statistics"]["row_count"] == 3
    assert sources[0]["columns"][0]["jsonpath"] == "$.id"
    assert client("GET", "/v0/datasources", token="reader").json()["datasources"] == []
    assert client("GET", "/v0/datasources/events").json()["engine"]["engine"] == "MergeTree"
    assert client("GET", "/v0/datasources/x").json()["error"] == 'Data Source "x" does not exist'
    tokens = {t["name"]: t for t in client("GET", "/v0/tokens").json()["tokens"]}
    assert tokens["reader"]["scopes"] == [{"type": "PIPES:READ", "resource": "totals"}]
    assert tokens["workspace admin token"]["scopes"] == [{"type": "ADMIN"}]
    assert client("GET", "/v0/tokens", token="reader").status_code == 403
