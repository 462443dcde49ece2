"""The errors for clients whose lines were not accepted."""

from __future__ import annotations

import logging

from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest.judge import is_passing

_LOGGER = logging.getLogger(__name__)


def not_now(data_source: str, error: Exception) -> ClickpipeError:
    """Return a 503 error: the client may send the same again."""
    _LOGGER.error("lines for %s cannot be staged: %s", data_source, error)
    message = "The events cannot be accepted now. Please send them again in a moment."
    return ClickpipeError(message, status=503, code="engine_unavailable")


def disk_full() -> ClickpipeError:
    """Return a 503 error: the disk is full."""
    message = "The disk is full, or was a moment ago: nothing was changed. Please try again when there is space."
    return ClickpipeError(message, status=503, code="disk_full")


def untaken(data_source: str, error: Exception) -> ClickpipeError:
    """Return a 503 error for a temporary cause, else 422: the lines cannot be parsed."""
    if is_passing(error):
        return not_now(data_source, error)
    _LOGGER.error("lines for %s cannot be parsed: %s", data_source, error)
    message = f"The events cannot be parsed, and none of them was written: {error}"
    return ClickpipeError(message, status=422, code="unreadable")
