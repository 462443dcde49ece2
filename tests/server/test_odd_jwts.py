"""Signed tokens whose header or claims are not what they should be: 403, never 500."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from clickpipe.auth import ADMIN_TOKEN
from tests.server.conftest import SOON, Client, get


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _signed(key: str, header: bytes, claims: bytes) -> str:
    """Return what is signed as it stands, whatever it is."""
    text = f"{_b64(header)}.{_b64(claims)}"
    return f"{text}.{_b64(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest())}"


_READS = {"type": "PIPES:READ", "resource": "totals"}
_HEADER = b'{"alg": "HS256", "typ": "JWT"}'
ODD_CLAIMS: dict[str, list[Any]] = {
    "workspace_id": [None, 1, [], {}, "x", True],
    "name": [None, 1, [], {}, "", "\ud800"],
    "exp": ["4000000000", 10**400, -1, 0, None, True, [4000000000], {}, "abc", float("inf"), float("nan")],
    "nbf": ["a", [], {}, SOON],
    "iat": ["a", [], {}],
    "jti": [1, [], {}],
    "sub": [1, []],
    "limits": [1, [], "", False, {"rps": "1"}, {"rps": -1}, {"rps": 1.5}, {"rps": True}, {"rps": 10**400}, {"a": 1}],
    "scopes": [
        *(None, 1, {}, "PIPES:READ", [], [1], [None], ["ADMIN"], [{}], [[]], [{"type": 1}], [{"type": ["PIPES:READ"]}]),
        *([{"type": "ADMIN"}], [{"type": "PIPES:READ"}], [{"type": "PIPES:READ", "resource": ["totals"]}]),
        *([{**_READS, "filter": "1"}], [{**_READS, "filter": 1}], [{**_READS, "resource": "\ud800"}]),
        *([{**_READS, "fixed_params": odd}] for odd in (1, 0, [], ["least"], "", "least", False, {"nothing": "a"})),
        [{**_READS, "fixed_params": {"ids": "\ud800"}}],
    ],
}
ODD_HEADERS = [
    *(b"", b"{", b"[]", b"1", b"null", b'"HS256"', b"\xff", b"[" * 50_000, b'{"typ": "JWT"}'),
    *(b'{"alg": %s}' % alg for alg in (b"null", b"1", b"[]", b'["HS256"]', b"{}", b'"none"', b'"None"', b'"hs256"')),
    *(b'{"alg": %s}' % alg for alg in (b'"RS256"', b'"HS512"', b'""')),
    *(b'{"alg": "RS256", "kid": %s}' % kid for kid in (b"1", b"[]", b'["a"]', b"{}", b"null", b'"../../x"')),
    b'{"alg": "HS256", "crit": ["b64"], "b64": false}',
]


def test_odd_headers_and_claims_are_refused(client: Client) -> None:
    admin = client.token(ADMIN_TOKEN).value
    claims = {"workspace_id": client.workspace.id, "name": "mine", "exp": SOON, "scopes": [_READS]}
    good = _signed(admin, _HEADER, json.dumps(claims).encode())
    assert get(client, "/v0/pipes/totals.json", good).status_code == 200
    odd = [
        (name, value, json.dumps({**claims, name: value}).encode()) for name in ODD_CLAIMS for value in ODD_CLAIMS[name]
    ]
    odd += [("all", text, text) for text in (b"", b"{", b"[]", b"1", b"null", b"\xff", b"[" * 50_000, b"9" * 5_000)]
    for name, value, text in odd:
        response = get(client, "/v0/pipes/totals.json", _signed(admin, _HEADER, text))
        assert response.status_code == 403, (name, value, response.text)
    for header in ODD_HEADERS:
        response = get(client, "/v0/pipes/totals.json", _signed(admin, header, json.dumps(claims).encode()))
        assert response.status_code == 403, (header[:50], response.text)
