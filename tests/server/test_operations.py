"""Metrics, readiness, logs, request ids, origins, TLS."""

from __future__ import annotations

import dataclasses
import json
import logging

import pytest
from httpx import Response

from clickpipe.ingest import WriteAheadLog
from clickpipe.observe import request_id, set_up_logs
from tests.server.conftest import Client


def _metrics(client: Client) -> Response:
    """Ask with a token that may read all of the default workspace."""
    catalog, default = client.instance.catalog, client.instance.default.id
    value = catalog.tokens.put(default, "prometheus", ["WORKSPACE:READ_ALL"], origin="api").value
    client.instance.tokens.refresh()
    return client("GET", "/metrics", token=None, headers={"Authorization": f"Bearer {value}"})


def test_metrics_are_not_for_others_than_the_server_s_own(client: Client) -> None:
    """They count what every workspace does."""
    catalog = client.instance.catalog
    catalog.tokens.put(client.workspace.id, "all", ["WORKSPACE:READ_ALL"], origin="api")
    catalog.tokens.put(client.instance.default.id, "some", ["TOKENS", "WORKSPACE:DEPLOY"], origin="api")
    client.instance.tokens.refresh()
    for response in (client("GET", "/metrics"), client("GET", "/metrics", token="all")):
        assert (response.status_code, "default workspace" in response.json()["error"]) == (403, True)
    some = next(t.value for t in catalog.tokens.all(client.instance.default.id) if t.name == "some")
    assert client("GET", f"/metrics?token={some}", token=None).status_code == 403
    assert _metrics(client).status_code == 200


def test_metrics_count_requests_by_route(client: Client) -> None:
    for _ in range(2):
        client("GET", "/v0/pipes/totals.json")
    client("GET", "/v0/pipes/nothing.json")
    client("BREW", "/v0/coffee")
    response = _metrics(client)
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = response.text.splitlines()
    route = 'method="GET",route="/v0/pipes/{name}.{format}"'
    assert any(line.startswith(f'clickpipe_requests_total{{{route},status="200"}}') for line in lines)
    assert any(line.startswith(f'clickpipe_requests_total{{{route},status="404"}}') for line in lines)
    assert any(line.startswith('clickpipe_requests_total{method="other",route="other",status="40') for line in lines)
    assert any(line.startswith("clickpipe_cache_bytes ") for line in lines)
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines)
    assert client("GET", "/metrics", token="reader").status_code == 403
    assert client.token("reader").value not in response.text


def test_metrics_only_read_the_log(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a start removes from it may belong to a write under way."""
    monkeypatch.setattr(WriteAheadLog, "unfinished", lambda _: pytest.fail("the log is cleaned up"))
    assert "\nclickpipe_log_segments " in _metrics(client).text


def test_metrics_may_be_open(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = dataclasses.replace(client.instance.settings, metrics_access="open")
    monkeypatch.setattr(client.instance._services, "settings", settings)
    assert client("GET", "/metrics", token=None).status_code == 200


def test_readiness(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client("GET", "/v0/ready", token=None).json() == {"status": "ready"}
    monkeypatch.setattr(client.instance, "not_ready", lambda: "the engine does not answer")
    response = client("GET", "/v0/ready", token=None)
    assert (response.status_code, response.json()["error"]) == (503, "the engine does not answer")


@pytest.mark.parametrize(
    ("given", "kept"),
    [("abc-1.2:3_x", True), ("a" * 128, True), ("a" * 129, False), ("a b", False), ("", False), ("é", False)],
)
def test_a_callers_request_id_is_kept_where_it_is_one(client: Client, given: str, *, kept: bool) -> None:
    response = client("GET", "/v0/health", headers={"X-Request-Id": given.encode()})
    assert (response.headers["x-request-id"] == given) is kept
    assert response.headers["x-request-id"]


def test_origins(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = {"Origin": "https://a.example"}
    assert client("GET", "/v0/health", headers=origin).headers["access-control-allow-origin"] == "*"
    settings = dataclasses.replace(client.instance.settings, cors_origins="https://a.example, https://b.example")
    monkeypatch.setattr(client.instance._services, "settings", settings)
    for method in ("GET", "OPTIONS"):
        allowed = client(method, "/v0/health", headers=origin).headers
        assert (allowed["access-control-allow-origin"], allowed["vary"]) == ("https://a.example", "Origin")
        other = client(method, "/v0/health", headers={"Origin": "https://evil.example"}).headers
        assert "access-control-allow-origin" not in other


def test_what_is_logged_of_requests(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = dataclasses.replace(client.instance.settings, log_requests="all")
    monkeypatch.setattr(client.instance._services, "settings", settings)
    token = client.token("reader").value
    with caplog.at_level(logging.INFO, "clickpipe.server"):
        client("GET", f"/v0/pipes/totals.json?limit=1&token={token}", token=None)
        client("DELETE", f"/v0/tokens/{token}")
    records = [r for r in caplog.records if hasattr(r, "fields")]
    assert [r.getMessage() for r in records] == ["GET /v0/pipes/totals.json", "DELETE /v0/tokens/{name}"]
    assert token not in caplog.text
    assert records[0].fields["status"] == 200


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_line_of_the_log(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, level = root.handlers, root.level
    set_up_logs("info", form)
    try:
        request_id.set("r1")
        logging.getLogger("clickpipe.test").info("it %s", "works", extra={"fields": {"status": 200}})
        try:
            int("bad")
        except ValueError:
            logging.getLogger("clickpipe.test").exception("it fails")
    finally:
        root.handlers, root.level = before, level
        request_id.set("")
    first, *rest = capsys.readouterr().err.splitlines()
    if form == "console":
        assert first.endswith("info    it works status=200 request_id=r1")
        assert rest[-1] == "  ValueError: invalid literal for int() with base 10: 'bad'"
    else:
        said = json.loads(first)
        assert {k: said[k] for k in ("level", "message", "request_id", "status")} == {
            "level": "info",
            "message": "it works",
            "request_id": "r1",
            "status": 200,
        }
        assert "ValueError: invalid literal for int() with base 10: 'bad'" in json.loads(rest[0])["error"]
