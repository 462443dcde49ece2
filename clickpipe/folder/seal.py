"""Seals the cache of checks with a user's key, so that a repository cannot ship a cache that hides its errors."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path

_BYTES = 32


def seal(*parts: bytes) -> str:
    """Return a digest of these parts that only this user can make. Raises OSError if no key can be stored."""
    made = hmac.new(_key(), digestmod=hashlib.sha256)
    for part in parts:
        made.update(len(part).to_bytes(8, "little"))
        made.update(part)
    return made.hexdigest()


def is_sealed(given: str, *parts: bytes) -> bool:
    """Return whether this user made the digest of these parts. Raises OSError if there is no key."""
    return hmac.compare_digest(given.encode(), seal(*parts).encode())


def _key() -> bytes:
    """Return the key, creating it on first use."""
    path = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "clickpipe" / "cache-key"
    if (found := _read(path)) is not None:
        return found
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(FileExistsError):  # another process created it first
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
    if (found := _read(path)) is None:
        raise OSError(None, "it is no key", str(path))
    return found


def _read(path: Path) -> bytes | None:
    with contextlib.suppress(FileNotFoundError):
        found = path.read_bytes()
        return found if len(found) == _BYTES else None
    return None
