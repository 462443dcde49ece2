"""Results of other threads, passed to the event loop together: it is woken once for many."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

_Result = TypeVar("_Result")


class _Inbox:
    """Results to pass to one event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done: list[tuple[asyncio.Future[Any], Future[Any]]] = []

    def put(self, waiting: asyncio.Future[Any], done: Future[Any]) -> None:
        """Pass on a result; called from any thread."""
        with self._lock:
            self._done.append((waiting, done))
            if len(self._done) > 1:
                return  # the loop has been woken already
        loop = waiting.get_loop()
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._hand_out)

    def _hand_out(self) -> None:
        with self._lock:
            found, self._done = self._done, []
        for waiting, done in found:
            if waiting.done():
                continue  # the caller stopped waiting
            if done.cancelled():
                waiting.cancel()
            elif (error := done.exception()) is not None:
                waiting.set_exception(error)
            else:
                waiting.set_result(done.result())


_inboxes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Inbox] = WeakKeyDictionary()


def result_of(done: Future[_Result]) -> asyncio.Future[_Result]:
    """Return an awaitable for the result of another thread. Cancelling it does not cancel `done`."""
    loop = asyncio.get_running_loop()
    inbox = _inboxes.get(loop)
    if inbox is None:
        inbox = _inboxes[loop] = _Inbox()
    waiting: asyncio.Future[_Result] = loop.create_future()
    done.add_done_callback(lambda found: inbox.put(waiting, found))
    return waiting
