"""Canaries for what is secret, and a search for them in all that came out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tests.security.canaries import forms

# With characters that every escaping changes, but for those that stand in headers or settings.
CANARIES = {
    "secret": "Kq7'\"\\\n%&<é>-secret-canary",
    "environment secret": "Zx9'\\-environment-canary",
    "url password": "Pw3pass'word-canary",
    "url user": "Us4-user-name-canary",
    "url query password": "Qp5-query-password-canary",
    "url query user": "Qu6-query-user-canary",
    "url query token": "Qt7-query-token-canary-000000000000",
    "signature": "Sg8-signature-canary",
    "referer token": "p.Rf9RefererTokenCanary00000000000000000000",
    "admin token": "p.Ad1AdminTokenCanary000000000000000000000",
    "jwt signing key": "Jw2-signing-key-canary-0000000000000000",
    "encryption key": "Ek3-encryption-key-canary-00000000000000",
    "password": "Cl4-clickhouse-password-canary",
}


@dataclass
class Said:
    """All that came out, and where."""

    texts: list[tuple[str, str]] = field(default_factory=list)

    def add(self, where: str, text: str | bytes) -> None:
        """Note a text, and where it came out."""
        self.texts.append((where, text.decode("utf-8", "replace") if isinstance(text, bytes) else text))

    def leaks(self, allowed: dict[str, str]) -> list[str]:
        """Return what is told of canaries; `allowed` are those that their owner is given on a route."""
        found = []
        for name, canary in CANARIES.items():
            for form in forms(canary):
                for where, text in self.texts:
                    if form in text and not (name in allowed and re.fullmatch(allowed[name], where)):
                        at = text.index(form)
                        found.append(f"{name} as {form!r} in {where}: …{text[max(0, at - 60) : at + len(form) + 40]}…")
        return found
