"""Tokens that programs of this machine are told, where that is asked for."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from clickpipe.config import Settings
from tests.server.conftest import Client


@pytest.mark.parametrize(
    ("setting", "host", "headers", "status"),
    [
        ("on", "localhost:7181", {}, 200),
        ("on", "127.0.0.1:7181", {}, 200),
        ("off", "localhost:7181", {}, 403),
        ("on", "example.com", {}, 403),
        ("on", "localhost:7181", {"Origin": "https://example.com"}, 403),
        ("on", "localhost:7181", {"Sec-Fetch-Site": "none"}, 403),
        ("on", "localhost:7181", {"Sec-Fetch-Mode": "cors", "User-Agent": "node"}, 200),
        ("on", "localhost:7181", {"Forwarded": "for=203.0.113.7"}, 403),
        ("on", "localhost:7181", {"X-Forwarded-For": "203.0.113.7"}, 403),
        ("on", "localhost:7181", {"X-Forwarded-Host": "example.com"}, 403),
        ("on", "localhost:7181", {"X-FORWARDED-PROTO": "https"}, 403),
        ("on", "localhost:7181", {"X-Real-IP": "203.0.113.7"}, 403),
        ("on", "localhost:7181", {"Via": "1.1 proxy"}, 403),
        ("on", "localhost:7181", {"Referer": "https://example.com/"}, 403),
        ("on", "localhost:7181", {"CF-Connecting-IP": "203.0.113.7"}, 403),
        ("on", "localhost:7181", {"True-Client-IP": "203.0.113.7"}, 403),
        ("on", "localhost:7181", {"X-Client-IP": "203.0.113.7"}, 403),
        ("on", "localhost:7181", {"x_forwarded_for": "203.0.113.7"}, 403),
        ("on", "localhost:7181", {"X-Original-URL": "/"}, 403),
        ("on", "localhost:7181", {"X-ProxyUser-Ip": "203.0.113.7"}, 403),
        ("on", "localhost:7181", {"X-Envoy-External-Address": "203.0.113.7"}, 403),
        ("on", "localhost:7181", {"WL-Proxy-Client-IP": "203.0.113.7"}, 403),
        (
            "on",
            "localhost:7181",
            {"Accept-Language": "*", "Traceparent": "00-1-2-01", "Cache-Control": "no-cache"},
            200,
        ),
        ("on", "localhost/.example.com", {}, 403),
        ("on", "localhost@example.com", {}, 403),
        ("on", "localhost:7181, example.com", {}, 403),
        ("on", "localhost.example.com", {}, 403),
        ("on", "127.0.0.1.example.com", {}, 403),
        ("on", "0.0.0.0:7181", {}, 403),
    ],
)
def test_tokens_are_told_to_programs_of_this_machine_where_asked(
    default: Client, monkeypatch: pytest.MonkeyPatch, setting: str, host: str, headers: dict[str, str], status: int
) -> None:
    monkeypatch.setattr(default.instance._services, "settings", Settings(local_tokens=setting))
    reply: httpx.Response = default("GET", "/tokens", token=None, headers={"Host": host, **headers})
    assert reply.status_code == status
    if status == 200:
        value = default.token("workspace admin token").value
        assert reply.json() == dict.fromkeys(("user_token", "admin_token", "workspace_admin_token"), value)


def test_a_local_server_has_the_token_that_some_clients_look_for(
    default: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(client: Client) -> list[Any]:
        tokens = client("GET", "/v0/tokens").json()["tokens"]
        return [token for token in tokens if token["name"] == "admin local_testing@tinybird.co"]

    workspaces = default.instance.workspaces
    workspaces.keep_local_tokens()
    assert found(default) == []
    monkeypatch.setattr(default.instance._services, "settings", Settings(local_tokens="on"))
    default("GET", "/tokens", token=None, headers={"Host": "localhost"})
    made = Client(default.instance, workspaces.create("local"))
    headers: dict[str, str] = {}
    for client in (default, made):
        (token,) = found(client)
        assert token["scopes"] == [{"type": "ADMIN"}]
        assert client("DELETE", f"/v0/tokens/{token['id']}").status_code == 409
        headers = {"Authorization": f"Bearer {token['token']}"}
        assert client("GET", "/v1/workspace", token=None, headers=headers).json()["name"] == client.workspace.name
    monkeypatch.setattr(default.instance._services, "settings", Settings())
    workspaces.keep_local_tokens()
    assert found(default) == []
    assert default("GET", "/v1/workspace", token=None, headers=headers).status_code == 403
    workspaces.delete(made.workspace)
