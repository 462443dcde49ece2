"""Times as the catalog keeps them."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    """Return the time as published clients read it: `YYYY-MM-DD HH:MM:SS.ffffff`, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
