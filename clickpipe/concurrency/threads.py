"""Threads for what would block the event loop. Each workspace has a share of them, so none waits for another's work."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import ParamSpec, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

from clickpipe.concurrency.waiting import result_of

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")

EACH = min(32, (os.cpu_count() or 1) + 4)  # threads that one workspace's requests may use at once
_MOST = 256  # threads in total: idle ones cost next to nothing
_SHORT = 50_000  # bytes that take a few milliseconds to parse

of_workspace: ContextVar[str] = ContextVar("of_workspace", default="")  # the owner of a request; '' if unknown


@dataclass(frozen=True, slots=True)
class _Threads:
    """The threads of an event loop, and a semaphore for each workspace."""

    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_MOST, thread_name_prefix="requests"))
    turns: WeakValueDictionary[str, asyncio.Semaphore] = field(default_factory=WeakValueDictionary)


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _Threads] = WeakKeyDictionary()


async def unless_short(size: int, function: Callable[[], _Result]) -> _Result:
    """Call a function that parses `size` bytes: in a thread if that may take a while."""
    return function() if size <= _SHORT else await in_thread(function)


async def in_thread(function: Callable[_Given, _Result], /, *given: _Given.args, **named: _Given.kwargs) -> _Result:
    """Call a function in a thread, when it is the turn of the current workspace (`of_workspace`).

    A cancelled caller stops waiting; the thread counts as the workspace's until the function returns.
    """
    loop = asyncio.get_running_loop()
    threads = _of_loop.get(loop)
    if threads is None:
        threads = _of_loop[loop] = _Threads()
        loop.set_default_executor(threads.pool)  # the loop waits for its threads when it ends
    turn = threads.turns.setdefault(of_workspace.get(), asyncio.Semaphore(EACH))
    await turn.acquire()
    try:
        done = threads.pool.submit(copy_context().run, partial(function, *given, **named))
    except BaseException:
        turn.release()
        raise
    try:
        return await result_of(done)
    finally:
        if done.done():
            turn.release()
        else:
            done.add_done_callback(lambda _: loop.is_closed() or loop.call_soon_threadsafe(turn.release))
