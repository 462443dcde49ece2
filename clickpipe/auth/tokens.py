"""Finding the token a request carries, and keeping a deployment's TOKEN lines in step."""

from __future__ import annotations

import hashlib
import threading

from clickpipe.auth.scopes import ADMIN, forbidden
from clickpipe.catalog import Catalog, Token
from clickpipe.compiler import CompiledProject

ADMIN_TOKEN = "workspace admin token"  # noqa: S105 - a token's name, not its value


class TokenIndex:
    """All tokens by the digest of their value, so that a look-up compares no secret byte by byte."""

    def __init__(self, catalog: Catalog) -> None:
        """Read the tokens of the catalog."""
        self._catalog = catalog
        self._lock = threading.Lock()
        self._by_digest: dict[bytes, Token] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read the tokens anew, after one was added, changed or removed."""
        found = {_digest(t.value): t for t in self._catalog.tokens()}
        with self._lock:
            self._by_digest = found

    def find(self, value: str) -> Token:
        """Return the token with this value. Raises 403 when there is none."""
        if not value:
            message = "A token is needed: send it as `Authorization: Bearer <token>` or `?token=<token>`."
            raise forbidden(message)
        token = self._by_digest.get(_digest(value))
        if token is None:
            message = "The token is not valid: it does not exist, or was removed."
            raise forbidden(message)
        return token


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode(errors="surrogatepass")).digest()


def ensure_admin_token(catalog: Catalog, workspace_id: str, value: str | None = None) -> Token:
    """Return a workspace's admin token, made when there is none; `value` sets its value."""
    found = next((t for t in catalog.tokens(workspace_id) if t.name == ADMIN_TOKEN), None)
    if found is not None and (value is None or found.value == value):
        return found
    return catalog.put_token(workspace_id, ADMIN_TOKEN, [ADMIN], origin="default", value=value)


def reconcile(catalog: Catalog, workspace_id: str, compiled: CompiledProject) -> None:
    """Make the tokens that datafiles declare equal to their TOKEN lines; others stay as they are."""
    wanted: dict[str, set[str]] = {}
    for source in compiled.data_sources.values():
        for grant in source.grants:
            wanted.setdefault(grant.token, set()).add(f"DATASOURCES:{grant.permission}:{source.name}")
    for pipe in compiled.project.pipes.values():
        for grant in pipe.grants:
            wanted.setdefault(grant.token, set()).add(f"PIPES:{grant.permission}:{pipe.name}")
    existing = {t.name: t for t in catalog.tokens(workspace_id)}
    for name, scopes in wanted.items():
        found = existing.get(name)
        if found is not None and found.origin == "default":
            continue
        if found is None or set(found.scopes) != scopes:
            catalog.put_token(workspace_id, name, sorted(scopes), origin="datafile")
    for name, token in existing.items():
        if token.origin == "datafile" and name not in wanted:
            catalog.delete_token(token.id)
