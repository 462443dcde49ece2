"""Logins of command lines under way: a code, for which tokens are given once, after somebody showed a token for it."""

from __future__ import annotations

import secrets
import threading
import time

_SECONDS = 300.0
_MOST = 100


class Logins:
    """Codes that were approved. Methods may be called from any thread."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        """Start with none; each is good for so many seconds."""
        self._seconds = seconds
        self._lock = threading.Lock()
        self._approved: dict[str, tuple[float, dict[str, str]]] = {}

    def approve(self, tokens: dict[str, str], code: str = "") -> str:
        """Have tokens given for a code, a new one without; return it."""
        code = code or secrets.token_urlsafe(24)
        now = time.monotonic()
        with self._lock:
            self._approved = {c: kept for c, kept in self._approved.items() if kept[0] > now}
            while len(self._approved) >= _MOST:
                self._approved.pop(next(iter(self._approved)))
            self._approved[code] = (now + self._seconds, tokens)
        return code

    def take(self, code: str) -> dict[str, str] | None:
        """Return the tokens of a code, once; None for one that was not approved, or is too old."""
        with self._lock:
            ends, tokens = self._approved.pop(code, (0.0, {}))
        return tokens if ends > time.monotonic() else None
