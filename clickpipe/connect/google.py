"""Tokens for Google Cloud Storage from a service account's key.

https://developers.google.com/identity/protocols/oauth2/service-account#httprest
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from clickpipe.diagnostics import ClickpipeError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

_TOKENS = "https://oauth2.googleapis.com/token"
_SCOPES = "https://www.googleapis.com/auth/devstorage."
_SECONDS, _SPARE = 3600, 300.0  # of a token; how long before its end there is a new one
_TIMEOUT = 30.0
_LONGEST = 1_800  # characters of a key: those of 2,048 bits have 1,704


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A service account, with its private key (PEM)."""

    email: str
    key: str = field(repr=False)

    @staticmethod
    def of(text: str) -> ServiceAccount:
        """Read the JSON file that Google gives out for a key. Raises ClickpipeError 400."""
        try:
            found = json.loads(text)
            email, key = found["client_email"], found["private_key"]
        except (ValueError, KeyError, TypeError, RecursionError):
            email = key = None
        if not isinstance(email, str) or not isinstance(key, str):
            message = "GCS_SERVICE_ACCOUNT_CREDENTIALS_JSON is not the JSON file of a service account's key."
            raise ClickpipeError(message, code="bad_connection")
        return ServiceAccount(email, key)


class Tokens:
    """The access tokens of one service account. Used by one thread at a time."""

    def __init__(self, account: ServiceAccount, *, writes: bool = False) -> None:
        """Ask for none yet; `writes` for tokens that may write files."""
        self._account = account
        self._scope = f"{_SCOPES}read_{'write' if writes else 'only'}"
        self._token, self._until = "", 0.0

    def get(self) -> str:
        """Return a token that is valid for some minutes. Raises ClickpipeError if Google gives none."""
        if time.monotonic() > self._until:
            self._token, seconds = self._ask()
            self._until = time.monotonic() + seconds - _SPARE
        return self._token

    def _ask(self) -> tuple[str, float]:
        import httpx

        data = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": self._signed()}
        try:
            reply = httpx.post(_TOKENS, data=data, timeout=_TIMEOUT, trust_env=False)
            found = reply.json()
            if reply.is_success:
                return str(found["access_token"]), float(found["expires_in"])
            reason = str(found.get("error", ""))[:100]
        except httpx.HTTPError as error:
            reason = type(error).__name__
        except (ValueError, KeyError, TypeError, AttributeError):
            reason = "an unexpected answer"
        message = f"Google gives no token to the service account: {reason}."
        raise ClickpipeError(message, status=503, code="fetch_failed")

    def _signed(self) -> str:
        import jwt

        if len(self._account.key) > _LONGEST:
            message = "The private key of the service account is longer than those that Google gives out (2,048 bits)."
            raise ClickpipeError(message, code="bad_connection")
        if (key := _key(self._account.key)) is None:
            message = "The private key of the service account cannot be read."
            raise ClickpipeError(message, code="bad_connection")
        now = int(time.time())
        claims = {"iss": self._account.email, "scope": self._scope, "aud": _TOKENS, "iat": now, "exp": now + _SECONDS}
        return jwt.encode(claims, key, algorithm="RS256")


@lru_cache(256)
def _key(pem: str) -> RSAPrivateKey | None:
    """Return a private key, None if it is none. To check its numbers takes time in which no other thread goes on."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, RSAPrivateKey) else None
