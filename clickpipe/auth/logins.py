"""Pending command-line logins: a code that, once approved with a token, can be exchanged for tokens once."""

from __future__ import annotations

import secrets
import threading
import time

_SECONDS = 300.0
_MOST = 100


class Logins:
    """The approved codes. Methods may be called from any thread."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        """Start empty; each code is valid for `seconds`."""
        self._seconds = seconds
        self._lock = threading.Lock()
        self._approved: dict[str, tuple[float, dict[str, str]]] = {}

    def approve(self, tokens: dict[str, str], code: str = "") -> str:
        """Approve a code, or a new one if none is given, for these tokens; return the code."""
        code = code or secrets.token_urlsafe(24)
        now = time.monotonic()
        with self._lock:
            self._approved = {c: kept for c, kept in self._approved.items() if kept[0] > now}
            while len(self._approved) >= _MOST:
                self._approved.pop(next(iter(self._approved)))
            self._approved[code] = (now + self._seconds, tokens)
        return code

    def take(self, code: str) -> dict[str, str] | None:
        """Return the tokens for a code, once; None if it was not approved or has expired."""
        with self._lock:
            ends, tokens = self._approved.pop(code, (0.0, {}))
        return tokens if ends > time.monotonic() else None
