"""Every route with every kind of token: let in or refused as matrix.txt says, one shape of errors everywhere."""

from __future__ import annotations

import re
import time
from pathlib import Path

import jwt
import pytest

from clickpipe.auth import ADMIN_TOKEN
from clickpipe.server.app import ROUTES
from tests.server.conftest import Client

_TEXT = Path(__file__).with_name("matrix.txt").read_text(encoding="utf-8")
_HEAD, *_LINES = [line for line in _TEXT.splitlines() if line and not line.startswith("#")]
KINDS = _HEAD.split()
ROWS = [(words[0], words[1], words[2:]) for words in map(str.split, _LINES)]


@pytest.fixture
def tokens(client: Client) -> dict[str, str | None]:
    """A token of each kind."""
    index, catalog, workspace = client.instance.tokens, client.instance.catalog, client.workspace.id

    def static(*scopes: str, filters: dict[str, str] | None = None, expires_at: float = 0.0) -> str:
        name = f"token {len(catalog.tokens.all(workspace))}"
        made = catalog.tokens.put(workspace, name, scopes, origin="api", filters=filters or {}, expires_at=expires_at)
        return made.value

    pipe = [{"type": "PIPES:READ", "resource": "totals", "fixed_params": {"limit": 1}}]
    revoked = index.sign(workspace, "revoked", time.time() + 600, pipe, {})
    found: dict[str, str | None] = {
        "none": None,
        "wrong": "p.eyJ",
        "expired": static("ADMIN", expires_at=time.time() - 1),
        "revoked": revoked,
        "append": static("DATASOURCES:APPEND:events"),
        "pipe": static("PIPES:READ:strict"),
        "rows": static("DATASOURCES:READ:events", filters={"events": "id = 'a'"}),
        "jwt": index.sign(workspace, "signed", time.time() + 600, pipe, {}),
        "reader": client.token("reader").value,
        "all": static("WORKSPACE:READ_ALL"),
        "tokens": static("TOKENS"),
        "deploy": static("WORKSPACE:DEPLOY"),
        "create": static("DATASOURCES:CREATE"),
        "admin": client.token(ADMIN_TOKEN).value,
    }
    index.refresh()
    index.revoke(revoked)
    assert list(found) == KINDS
    return found


@pytest.mark.parametrize(("method", "path", "expected"), ROWS, ids=[f"{m} {p}" for m, p, _ in ROWS])
def test_who_is_let_in(
    client: Client, tokens: dict[str, str | None], method: str, path: str, expected: list[str]
) -> None:
    found = []
    for kind in KINDS:
        value = tokens[kind]
        headers = {"Authorization": f"Bearer {value}"} if value else {}
        for response in (
            client(method, path, token=None, headers=headers),
            client(method, f"{path}{'&' if '?' in path else '?'}token={value or ''}", token=None),
        ):
            assert response.status_code < 500, response.text
            if response.status_code >= 400:
                body = response.json()
                assert isinstance(body["error"], str)
                assert body["error"]
                assert body["documentation"]
                assert not value or value not in response.text
            assert re.fullmatch(r"[0-9a-f]{32}", response.headers["x-request-id"])
            assert response.headers["x-content-type-options"] == "nosniff"
            assert response.headers["access-control-allow-origin"] == "*"
        found.append("-" if response.status_code == 403 else "+")
    assert dict(zip(KINDS, found, strict=True)) == dict(zip(KINDS, expected, strict=True))


def test_every_route_has_a_line() -> None:
    lines = [(method, path.split("?")[0]) for method, path, _ in ROWS]
    for method, path, _ in ROUTES:
        pattern = re.compile(re.sub(r"\\\{.*?\\\}", "[^/]+", re.escape(path)))
        if path == "/" or "truncate" in path or ("delete" in path and "v1" in path):
            continue  # one of the two forms is enough; the password of ClickHouse's interface: test_clickhouse.py
        assert any(m == method and pattern.fullmatch(p) for m, p in lines), f"{method} {path}"


def test_a_signed_token_of_another_workspace_is_not_this_ones(client: Client) -> None:
    other = client.instance.workspaces.create("elsewhere")
    try:
        admin = next(t for t in client.instance.catalog.tokens.all(other.id) if t.name == ADMIN_TOKEN)
        claims = {
            "workspace_id": client.workspace.id,
            "name": "x",
            "exp": int(time.time()) + 60,
            "scopes": [{"type": "PIPES:READ", "resource": "totals"}],
        }
        value = jwt.encode(claims, admin.value, algorithm="HS256")
        assert client("GET", f"/v0/pipes/totals.json?token={value}", token=None).status_code == 403
    finally:
        client.instance.workspaces.delete(other)
