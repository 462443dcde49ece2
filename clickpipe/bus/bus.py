"""Delivers events to subscribers, in the thread that publishes them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from clickpipe.bus.events import Event

_LOGGER = logging.getLogger(__name__)
_Kind = TypeVar("_Kind", bound=Event)


class Bus:
    """Delivers events. Methods may be called from any thread.

    A subscriber that must not miss an event has to notice itself that it failed: its error is logged, and neither the
    publisher nor other subscribers learn of it.
    """

    def __init__(self) -> None:
        """Start without subscribers."""
        self._handlers: dict[type[Any], tuple[Callable[[Any], object], ...]] = {}
        self._lock = threading.Lock()

    def subscribe(self, kind: type[_Kind], handler: Callable[[_Kind], object]) -> None:
        """Call `handler` with every later event of this class, after those that subscribed before."""
        with self._lock:
            self._handlers[kind] = (*self._handlers.get(kind, ()), handler)

    def publish(self, event: Event) -> None:
        """Deliver an event; return when all subscribers had it."""
        for handler in self._handlers.get(type(event), ()):
            try:
                handler(event)
            except Exception:
                _LOGGER.exception("a subscriber failed on %s", type(event).__name__)
