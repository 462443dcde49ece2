"""Threads for what would block the event loop: each workspace has its share, so that none waits for another."""

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

from clickpipe.server.waiting import result_of

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")

EACH = min(32, (os.cpu_count() or 1) + 4)  # threads that the requests of a workspace take at once
_MOST = 256  # of all: idle ones cost next to nothing
_SHORT = 50_000  # bytes that are taken apart in a few milliseconds

of_workspace: ContextVar[str] = ContextVar("of_workspace", default="")  # the owner of a request; '': not known


@dataclass(frozen=True, slots=True)
class _Threads:
    """The threads of an event loop, and for each workspace how many more it may take."""

    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_MOST, thread_name_prefix="requests"))
    turns: WeakValueDictionary[str, asyncio.Semaphore] = field(default_factory=WeakValueDictionary)


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _Threads] = WeakKeyDictionary()


async def beside(size: int, function: Callable[[], _Result]) -> _Result:
    """Call a function that takes `size` bytes of a body apart: in a thread where that may take a while."""
    return function() if size <= _SHORT else await in_thread(function)


async def in_thread(function: Callable[_Given, _Result], /, *given: _Given.args, **named: _Given.kwargs) -> _Result:
    """Call a function in a thread, when it is the turn of the workspace whose request is answered.

    A caller that is cancelled waits no longer; the thread counts as the workspace's until the function returns.
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
