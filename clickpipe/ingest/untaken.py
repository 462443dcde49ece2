"""What a client is told whose lines were not taken."""

from __future__ import annotations

import logging

from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest.judge import is_passing

_LOGGER = logging.getLogger(__name__)


def not_now(data_source: str, error: Exception) -> ClickpipeError:
    """Return 503: the same may be sent again."""
    _LOGGER.error("lines for %s cannot be staged: %s", data_source, error)
    message = "The events cannot be taken now. Please send them again in a moment."
    return ClickpipeError(message, status=503, code="engine_unavailable")


def disk_full() -> ClickpipeError:
    """Return 503: the disk has not taken what was written before."""
    message = "The disk is full, or was a moment ago: nothing was changed. Please try again when it has room."
    return ClickpipeError(message, status=503, code="disk_full")


def untaken(data_source: str, error: Exception) -> ClickpipeError:
    """Return 503 for what passes, else 422: the lines cannot be read."""
    if is_passing(error):
        return not_now(data_source, error)
    _LOGGER.error("lines for %s cannot be read: %s", data_source, error)
    message = f"The events cannot be read, and nothing of them was written: {error}"
    return ClickpipeError(message, status=422, code="unreadable")
