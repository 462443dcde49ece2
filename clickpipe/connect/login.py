"""Tokens for SASL OAUTHBEARER: OAuth's client credentials, asked of an address that the connection names.

librdkafka could ask by itself, but nothing would keep it from private addresses. So this server asks.
"""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass, field
from urllib.parse import quote_plus, urlencode

import msgspec

from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import Check, ask

_LARGEST = 1 << 20  # bytes of an answer
_USUAL = 300.0  # seconds that a token is valid if the answer does not say
_SPARE = 30.0  # seconds before a token's end at which it is not given out again
_SHOWN = frozenset(
    ("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type")
) | {"invalid_scope"}
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Login:
    """Where a client gets tokens; `ca` is PEM of an authority to trust there, too."""

    endpoint: str
    client: str
    secret: str = field(repr=False)
    scope: str = ""
    extensions: tuple[tuple[str, str], ...] = ()
    ca: str = field(default="", repr=False)


class _Answer(msgspec.Struct):
    access_token: str
    expires_in: float = _USUAL


class _Refusal(msgspec.Struct):
    error: str = ""


class Tokens:
    """The tokens of one consumer. Used by its thread, then by librdkafka's."""

    def __init__(self, login: Login, check: Check) -> None:
        """Ask for none yet; `check` raises ClickpipeError for an address that must not be asked."""
        self._login, self._check = login, check
        self._token, self._until = "", 0.0
        self.problem = ""  # why the last request failed

    def get(self, _config: str | None = None) -> tuple[str, float, str, dict[str, str]]:
        """Return a token, when it ends (seconds since 1970), its owner, and extensions. Raises ClickpipeError."""
        if time.time() > self._until - _SPARE:
            try:
                self._token, self._until = self._ask()
            except ClickpipeError as error:
                self.problem = error.message
                raise
            self.problem = ""
        return self._token, self._until, self._login.client, dict(self._login.extensions)

    def _ask(self) -> tuple[str, float]:
        login = self._login
        asked = {"grant_type": "client_credentials"} | ({"scope": login.scope} if login.scope else {})
        who = base64.b64encode(f"{quote_plus(login.client)}:{quote_plus(login.secret)}".encode()).decode()
        headers = {"Authorization": f"Basic {who}", "Content-Type": _FORM, "Accept": "application/json"}
        body = urlencode(asked).encode()
        try:
            found = ask(
                login.endpoint,
                check=self._check,
                headers=headers,
                body=body,
                ca=login.ca,
                limit=_LARGEST,
                explain=_explain,
            )
            answer = msgspec.json.decode(found, type=_Answer, strict=False)
        except ClickpipeError as error:
            message = error.message.replace("The URL", "The token endpoint", 1)
            raise ClickpipeError(message, status=503, code="fetch_failed") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            message = "The token endpoint does not answer with an access token."
            raise ClickpipeError(message, status=503, code="fetch_failed") from None
        return answer.access_token, time.time() + max(answer.expires_in, 2 * _SPARE)


def _explain(body: bytes) -> str:
    """Return the reason in an answer, if it is one of OAuth's."""
    try:
        found = msgspec.json.decode(body, type=_Refusal).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return found if found in _SHOWN else ""
