"""Finds the token of a request, and keeps stored tokens in step with TOKEN lines."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from clickpipe.auth.jwts import Keys, is_jwt, make, read, signed_part, workspace_of
from clickpipe.auth.keysets import KEYS_EVERY, KeySet
from clickpipe.auth.scopes import ADMIN, forbidden
from clickpipe.bus import DeploymentPromoted
from clickpipe.catalog import Catalog, Token
from clickpipe.compiler import CompiledProject
from clickpipe.config import Settings

ADMIN_TOKEN = "workspace admin token"  # noqa: S105 - a token's name, not its value
LOCAL_TOKEN = "admin local_testing@tinybird.co"  # noqa: S105 - some clients look for their token by this name
_SIGNED = 10_000  # verified signed tokens to remember


class TokenIndex:
    """All tokens by the digest of their value, so that look-ups never compare secrets byte by byte.

    Signed tokens are remembered the same way once their signature has been verified.
    """

    def __init__(self, catalog: Catalog, settings: Settings | None = None, *, keys_every: float = KEYS_EVERY) -> None:
        """Read the catalog's tokens. The settings name further keys for JWTs besides the workspace's admin token."""
        self._catalog = catalog
        self._settings = settings or Settings()
        self._lock = threading.Lock()
        self._by_digest: dict[bytes, Token] = {}
        self._digests: dict[str, bytes] = {}  # by id
        self._admins: dict[str, str] = {}
        self._revoked: frozenset[str] = frozenset()
        self._signed: dict[bytes, Token] = {}
        self._outdated = False
        self.refresh()
        source = self._settings.jwt_keys
        self._public = KeySet(source, self._forget_signed, every=keys_every) if source else None

    def refresh(self) -> None:
        """Read the tokens again, after any was added, changed or removed."""
        with self._lock:  # of two threads, the one that has read later is the last to write
            tokens = self._catalog.tokens.all()
            revoked = self._catalog.tokens.revoked()
            self._by_digest = {_digest(t.value): t for t in tokens}
            self._digests = {t.id: digest for digest, t in self._by_digest.items()}
            self._admins = {t.workspace_id: t.value for t in tokens if t.name == ADMIN_TOKEN}
            self._revoked = revoked
            self._signed = {}
            self._outdated = False

    def refresh_one(self, token_id: str) -> None:
        """Read one token again, after it was added, changed or removed: reading thousands would hold everybody up."""
        with self._lock:
            token = self._catalog.tokens.get(token_id)
            known = self._digests.pop(token_id, b"")
            before = self._by_digest.get(known)
            digest = _digest(token.value) if token is not None else b""
            if token is not None:
                self._digests[token_id], self._by_digest[digest] = digest, token
            if known != digest:
                self._by_digest.pop(known, None)
        if ADMIN_TOKEN in {one.name for one in (before, token) if one is not None}:  # it signs others
            self.refresh()

    def deployment_promoted(self, _event: DeploymentPromoted) -> None:
        """Read the tokens of the TOKEN lines. If that fails, no token is found until it succeeds."""
        self._outdated = True
        self.refresh()

    def find(self, value: str) -> Token:
        """Return the stored or signed token with this value. Raises ClickpipeError 403 if unknown or expired."""
        if not value:
            message = "A token is needed: send it as `Authorization: Bearer <token>` or `?token=<token>`."
            raise forbidden(message)
        if self._outdated:
            self.refresh()
        digest = _digest(value)
        token = self._by_digest.get(digest) or self._signed.get(digest)
        if token is None and is_jwt(value):
            token = self._read_signed(value, digest)
        if token is None:
            message = "The token is not valid: it does not exist, or was removed."
            raise forbidden(message)
        if token.expires_at and token.expires_at <= time.time():
            message = "The token is not valid: it has expired."
            raise forbidden(message)
        return token

    def stored(self, value: str) -> Token | None:
        """Return the stored token with this value, valid or not; None if there is none."""
        return self._by_digest.get(_digest(value))

    def _read_signed(self, value: str, digest: bytes) -> Token:
        signed = self._signed
        workspace_id = workspace_of(value)
        if workspace_id not in self._admins:
            message = (
                f"The token is not valid: this server has no workspace with the id '{workspace_id[:64]}' (its "
                "workspace_id). `clickpipe workspace` prints the right one, and so do `clickpipe dev` and `serve` "
                "when they start."
            )
            raise forbidden(message)
        token = read(value, self._keys(workspace_id))
        covered = _digest(signed_part(value)).hex()
        if not self._revoked.isdisjoint({digest.hex(), covered}):
            message = "The token is not valid: it was revoked."
            raise forbidden(message)
        if len(signed) >= _SIGNED:
            signed.clear()
        signed[digest] = token = replace(token, signed=covered)
        return token

    def _keys(self, workspace_id: str) -> Keys:
        admin = self._admins.get(workspace_id)
        if not admin:
            return Keys(())
        secrets = [key for key in (self._settings.jwt_signing_key, admin) if key]
        return Keys(secrets, self._public, self._settings.jwt_issuer, self._settings.jwt_audience)

    def _forget_signed(self) -> None:
        self._signed = {}

    def close(self) -> None:
        """Stop reading keys."""
        if self._public is not None:
            self._public.close()

    def sign(self, workspace_id: str, name: str, expires_at: float, scopes: Sequence[Any], limits: Any) -> str:
        """Return a signed token. Raises ClickpipeError 400."""
        return make(self._keys(workspace_id).secrets[0], workspace_id, name, expires_at, scopes, limits)

    def revoke(self, value: str) -> Token:
        """Revoke a signed token and return it. Raises ClickpipeError 403 unless it is valid."""
        token = self.find(value)
        self._catalog.tokens.revoke(token.workspace_id, _digest(signed_part(value)).hex(), token.expires_at)
        self.refresh()
        return token


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode(errors="surrogatepass")).digest()


def ensure_admin_token(catalog: Catalog, workspace_id: str, value: str | None = None) -> Token:
    """Return a workspace's admin token, creating it if needed; `value` sets its value."""
    found = next((t for t in catalog.tokens.all(workspace_id) if t.name == ADMIN_TOKEN), None)
    if found is not None and (value is None or found.value == value):
        return found
    return catalog.tokens.put(workspace_id, ADMIN_TOKEN, [ADMIN], origin="default", value=value)


def keep_local_token(catalog: Catalog, workspace_id: str, *, wanted: bool) -> None:
    """Create or remove the admin token that local clients look for by name, as `wanted`."""
    found = next((t for t in catalog.tokens.all(workspace_id) if t.name == LOCAL_TOKEN), None)
    if wanted and found is None:
        catalog.tokens.put(workspace_id, LOCAL_TOKEN, [ADMIN], origin="default")
    elif found is not None and found.origin == "default" and not wanted:
        catalog.tokens.delete(found.id)


def reconcile(catalog: Catalog, workspace_id: str, compiled: CompiledProject) -> None:
    """Bring the tokens that datafiles declare in line with their TOKEN lines; other tokens stay unchanged.

    An existing token of that name from elsewhere gets these rights in addition to its own. A token's filters and fixed
    parameters always stay, so that its holders cannot suddenly read more.
    """
    wanted: dict[str, set[str]] = {}
    for source in compiled.data_sources.values():
        for grant in source.grants:
            wanted.setdefault(grant.token, set()).add(f"DATASOURCES:{grant.permission}:{source.name}")
    for pipe in compiled.project.pipes.values():
        for grant in pipe.grants:
            wanted.setdefault(grant.token, set()).add(f"PIPES:{grant.permission}:{pipe.name}")
    existing = {t.name: t for t in catalog.tokens.all(workspace_id)}
    for name, scopes in wanted.items():
        found = existing.get(name)
        if found is not None and found.origin == "default":
            continue
        own = set(found.scopes) if found is not None and found.origin != "datafile" else set()
        if found is None or set(found.scopes) != scopes | own:
            filters, fixed = (found.filters, found.fixed_params) if found is not None else (None, None)
            put = catalog.tokens.put
            put(workspace_id, name, sorted(scopes | own), origin="datafile", filters=filters, fixed_params=fixed)
    for name, token in existing.items():
        if token.origin == "datafile" and name not in wanted:
            catalog.tokens.delete(token.id)
