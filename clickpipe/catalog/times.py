"""Times as stored in the catalog."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    """Return the current time in the format of published clients: `YYYY-MM-DD HH:MM:SS.ffffff`, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
