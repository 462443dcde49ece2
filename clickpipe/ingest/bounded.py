"""Limits how long start and shutdown wait for inserts, as one workspace's endless views must not block the server.

Whatever has not been inserted is in the log, and is inserted later.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

from clickpipe.engine import Engine
from clickpipe.ingest.channel import Channel

_LOGGER = logging.getLogger(__name__)
_START_SECONDS, _END_SECONDS = 20.0, 30.0
_ENDED = 30  # attempts to end statements: failed inserts are retried and start again

Channels = Callable[[], Iterable[Channel]]


def wait_at_start(state: threading.Condition, channels: Channels) -> None:
    """Wait for the inserts of what a stopped server left, a few seconds at most."""
    if not _none_runs(state, channels, _START_SECONDS):
        _LOGGER.warning("inserts of the last run's events go on while the server starts: %s", _running(channels))


def end_all(engine: Engine, state: threading.Condition, channels: Channels) -> bool:
    """Wait for inserts, end those that take too long, and return whether none is left."""
    if _none_runs(state, channels, _END_SECONDS):
        return True
    _LOGGER.error("inserts are ended, and done again at the next start: %s", _running(channels))
    for _ in range(_ENDED):
        engine.end_all()
        if _none_runs(state, channels, 1.0):
            return True
    return False


def _none_runs(state: threading.Condition, channels: Channels, seconds: float) -> bool:
    with state:
        return state.wait_for(lambda: not any(channel.running for channel in channels()), seconds)


def _running(channels: Channels) -> str:
    return ", ".join(sorted(f"{c.workspace}/{c.data_source}" for c in tuple(channels()) if c.running))
