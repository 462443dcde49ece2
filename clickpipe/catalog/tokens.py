"""Tokens of workspaces: what each may do, and its value, encrypted if there is a key."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
import uuid
from collections.abc import Mapping, Sequence

from clickpipe.catalog.database import Database
from clickpipe.catalog.model import Token
from clickpipe.catalog.times import now
from clickpipe.config import Cipher, is_encrypted
from clickpipe.diagnostics import ClickpipeError

_REMEMBERED = 100_000  # decrypted values


class TokenStore:
    """The tokens of all workspaces. Methods may be called from any thread."""

    def __init__(self, database: Database, cipher: Cipher | None) -> None:
        """Store them in the catalog's file; a cipher also encrypts values that are still in plain text.

        Raises ClickpipeError if they were encrypted with another key.
        """
        self._database = database
        self._cipher = cipher
        self._values: dict[str, str] = {}  # encrypted -> value: all are read after each change of one
        self._encrypt_all()

    def all(self, workspace_id: str | None = None) -> list[Token]:
        """Return the tokens of a workspace (None: of all), oldest first."""
        sql = "SELECT * FROM tokens WHERE ? IS NULL OR workspace_id = ? ORDER BY created_at"
        return [self._token(row) for row in self._database.rows(sql, workspace_id, workspace_id)]

    def get(self, token_id: str) -> Token | None:
        """Return a token by its id, or None."""
        rows = self._database.rows("SELECT * FROM tokens WHERE id = ?", token_id)
        return self._token(rows[0]) if rows else None

    def of_workspace(self, workspace_id: str, name: str) -> Token | None:
        """Return a workspace's token by its id or name, or None; an id comes first."""
        sql = "SELECT * FROM tokens WHERE workspace_id = ? AND (id = ? OR name = ?) ORDER BY id = ? DESC"
        rows = self._database.rows(sql, workspace_id, name, name, name)
        return self._token(rows[0]) if rows else None

    def named(self, workspace_id: str, name: str) -> Token | None:
        """Return a workspace's token by its name, or None."""
        rows = self._database.rows("SELECT * FROM tokens WHERE workspace_id = ? AND name = ?", workspace_id, name)
        return self._token(rows[0]) if rows else None

    def put(
        self,
        workspace_id: str,
        name: str,
        scopes: Sequence[str],
        *,
        origin: str,
        value: str | None = None,
        filters: Mapping[str, str] | None = None,
        fixed_params: Mapping[str, Mapping[str, str | list[str]]] | None = None,
        limits: Mapping[str, int] | None = None,
        expires_at: float | None = None,
    ) -> Token:
        """Add a token, or change the rights of the one with this name; value, limits and expiry stay unless given."""
        found = self.named(workspace_id, name)
        granted = json.dumps(list(scopes))
        if found is not None:
            limits = found.limits if limits is None else limits
            expires_at = found.expires_at if expires_at is None else expires_at
        more = {"filters": filters, "fixed_params": fixed_params, "limits": limits, "expires_at": expires_at}
        details = json.dumps({key: one for key, one in more.items() if one})
        kept = self._kept(value or (found.value if found else new_token_value()))
        if found is None:
            token_id = str(uuid.uuid4())
            self._database.run(
                "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                *(token_id, workspace_id, name, kept, granted, origin, now(), details),
            )
        else:
            token_id = found.id
            self._database.run(
                "UPDATE tokens SET scopes = ?, value = ?, details = ? WHERE id = ?",
                *(granted, kept, details, token_id),
            )
        return self._token(self._database.rows("SELECT * FROM tokens WHERE id = ?", token_id)[0])

    def set_value(self, token_id: str, value: str) -> None:
        """Change a token's value; requests with the old one are refused from now on."""
        self._database.run("UPDATE tokens SET value = ? WHERE id = ?", self._kept(value), token_id)

    def revoke(self, workspace_id: str, digest: str, expires_at: float) -> None:
        """Refuse a signed token, by its digest, until it expires; forget those that have expired."""
        self._database.run("DELETE FROM revoked WHERE expires_at < ?", time.time())
        self._database.run("INSERT OR REPLACE INTO revoked VALUES (?, ?, ?)", digest, workspace_id, expires_at)

    def revoked(self) -> frozenset[str]:
        """Return the digests of revoked signed tokens."""
        return frozenset(row["digest"] for row in self._database.rows("SELECT digest FROM revoked"))

    def delete(self, token_id: str) -> None:
        """Delete a token; requests with it are refused from now on."""
        self._database.run("DELETE FROM tokens WHERE id = ?", token_id)

    def _encrypt_all(self) -> None:
        """Encrypt values stored in plain text, from before there was a key."""
        for token in self.all():
            if self._cipher is not None:
                value = self._database.rows("SELECT value FROM tokens WHERE id = ?", token.id)[0]["value"]
                if not is_encrypted(value):
                    self.set_value(token.id, value)

    def _kept(self, value: str) -> str:
        return self._cipher.encrypt(value) if self._cipher is not None else value

    def _token(self, row: sqlite3.Row) -> Token:
        fields = dict(row)
        details = json.loads(fields.pop("details"))
        value = fields["value"]
        if self._cipher is not None:
            value = self._decrypted(value, self._cipher)
        elif is_encrypted(value):
            message = "The tokens of this data folder are encrypted, and there is no key: set encryption_key."
            raise ClickpipeError(message, code="wrong_key")
        return Token(**{**fields, **details, "value": value, "scopes": tuple(json.loads(row["scopes"]))})

    def _decrypted(self, kept: str, cipher: Cipher) -> str:
        """Decrypt a value once: with thousands of tokens, each change would take long for everybody."""
        value = self._values.get(kept)
        if value is None:
            if len(self._values) >= _REMEMBERED:
                self._values.clear()
            value = self._values[kept] = cipher.decrypt(kept)
        return value


def new_token_value() -> str:
    """Return an unguessable value: 48 random bytes."""
    return f"p.e{secrets.token_urlsafe(48)}"
