"""JWTs that an identity provider signed: its keys, and nobody else's."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from clickpipe.auth import TokenIndex, ensure_admin_token
from clickpipe.auth.keysets import KeySet
from clickpipe.catalog import Catalog
from clickpipe.config import Settings
from clickpipe.diagnostics import ClickpipeError

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, name: str) -> dict[str, Any]:
    if isinstance(key, rsa.RSAPrivateKey):
        return RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": name, "use": "sig", "alg": "RS256"}
    return ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": name, "use": "sig", "alg": "ES256"}


BOTH = {"keys": [public(RSA, "r"), public(EC, "e")]}


@pytest.fixture
def workspace(catalog: Catalog) -> str:
    made = catalog.create_workspace("one").id
    ensure_admin_token(catalog, made, "admin-secret-of-at-least-32-characters")
    return made


@pytest.fixture
def claims(workspace: str) -> dict[str, Any]:
    scopes = [{"type": "PIPES:READ", "resource": "p", "fixed_params": {"tenant": "a"}}]
    return {"workspace_id": workspace, "name": "someone", "exp": time.time() + 60, "scopes": scopes}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(BOTH))
    return path


@pytest.fixture
def index(catalog: Catalog, workspace: str, file: Path) -> Iterator[TokenIndex]:
    assert workspace
    made = TokenIndex(catalog, Settings(jwt_keys=str(file)))
    yield made
    made.close()


@pytest.mark.parametrize(("key", "algorithm", "name"), [(RSA, "RS256", "r"), (EC, "ES256", "e")])
def test_a_token_of_the_provider_is_taken(
    index: TokenIndex, claims: dict[str, Any], key: Any, algorithm: str, name: str
) -> None:
    found = index.find(jwt.encode(claims, key, algorithm, headers={"kid": name}))
    assert (found.name, found.scopes) == ("someone", ("PIPES:READ:p",))
    assert found.fixed_params == {"p": {"tenant": "a"}}


def test_those_of_the_admin_token_are_still_taken(index: TokenIndex, claims: dict[str, Any]) -> None:
    assert index.find(jwt.encode(claims, "admin-secret-of-at-least-32-characters", "HS256")).name == "someone"


@pytest.mark.parametrize(
    ("key", "algorithm", "name", "message"),
    [
        (STRANGER, "RS256", "r", "its signature is wrong"),
        (STRANGER, "RS256", "x", "there is no key of the name"),
        (RSA, "RS256", None, "there is no key of the name"),
        (RSA, "RS256", "e", "alg"),
        (RSA, "RS384", "r", "alg"),
        (RSA, "PS256", "r", "alg"),
        (EC, "ES256", "r", "alg"),
        (public(RSA, "r")["n"], "HS256", "r", "its signature is wrong"),
        ("", "none", "r", "alg"),
    ],
)
@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
def test_no_other_is(
    index: TokenIndex, claims: dict[str, Any], key: Any, algorithm: str, name: str | None, message: str
) -> None:
    value = jwt.encode(claims, key, algorithm, headers={"kid": name} if name else None)
    with pytest.raises(ClickpipeError, match=message) as caught:
        index.find(value)
    assert caught.value.status == 403


@pytest.mark.parametrize("missing", ["workspace_id", "name", "exp", "scopes"])
def test_the_same_claims_are_required(index: TokenIndex, claims: dict[str, Any], missing: str) -> None:
    del claims[missing]
    with pytest.raises(ClickpipeError, match=f"'{missing}' is missing"):
        index.find(jwt.encode(claims, RSA, "RS256", headers={"kid": "r"}))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"iss": "https://id.example", "aud": "clickpipe"}, ""),
        ({"iss": "https://id.example", "aud": ["other", "clickpipe"]}, ""),
        ({"iss": "https://evil.example", "aud": "clickpipe"}, "issuer"),
        ({"iss": "https://id.example", "aud": "other"}, "[Aa]udience"),
        ({"iss": "https://id.example"}, "'aud' is missing"),
        ({"aud": "clickpipe"}, "'iss' is missing"),
    ],
)
def test_issuer_and_audience(
    catalog: Catalog, file: Path, claims: dict[str, Any], more: dict[str, Any], message: str
) -> None:
    index = TokenIndex(catalog, Settings(jwt_keys=str(file), jwt_issuer="https://id.example", jwt_audience="clickpipe"))
    value = jwt.encode(claims | more, RSA, "RS256", headers={"kid": "r"})
    try:
        if message:
            with pytest.raises(ClickpipeError, match=message):
                index.find(value)
        else:
            assert index.find(value).name == "someone"
    finally:
        index.close()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"keys": []}', '{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "r", "alg": "HS256"}]}']
)
def test_a_file_without_keys(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(ClickpipeError, match="there are no keys for RS256 or ES256"):
        KeySet(str(path), lambda: None)
    with pytest.raises(ClickpipeError, match="there are no keys"):
        KeySet(str(tmp_path / "absent.json"), lambda: None)


class Provider(http.server.ThreadingHTTPServer):
    """An identity provider: its keys, or None while it is down."""

    keys: dict[str, Any] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/keys"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        self.send_response(200 if self.server.keys else 503)
        self.end_headers()
        self.wfile.write(json.dumps(self.server.keys).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_keys_are_fetched_and_change(provider: Provider) -> None:
    """A provider that is down stops nothing; a key that it takes away is good no longer."""
    changed = threading.Event()
    keys = KeySet(provider.url, changed.set, every=0.01)
    try:
        assert keys.find("r") is None
        provider.keys = {"keys": [public(RSA, "r")]}
        assert changed.wait(60)
        assert keys.find("r") is keys.find(None)
        provider.keys = None
        time.sleep(0.05)
        assert keys.find("r") is not None
        changed.clear()
        provider.keys = {"keys": [public(EC, "e")]}
        assert changed.wait(60)
        assert keys.find("r") is None
    finally:
        keys.close()


def test_a_token_whose_key_was_taken_away(catalog: Catalog, provider: Provider, claims: dict[str, Any]) -> None:
    provider.keys = BOTH
    index = TokenIndex(catalog, Settings(jwt_keys=provider.url), keys_every=0.01)
    try:
        value = jwt.encode(claims, RSA, "RS256", headers={"kid": "r"})
        index.find(value)
        provider.keys = {"keys": [public(EC, "e")]}
        for _ in range(1000):
            try:
                index.find(value)
            except ClickpipeError:
                break
            time.sleep(0.01)
        else:
            pytest.fail("the token is still taken")
    finally:
        index.close()
