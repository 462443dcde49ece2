"""Records callers' queries: their duration, what they read, and how they ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from functools import lru_cache
from typing import Any, Generic, TypeVar

from starlette.requests import Request

from clickpipe.diagnostics import ClickpipeError, redact, redact_parameters, redact_query
from clickpipe.observe import Call
from clickpipe.query import Answer
from clickpipe.server.context import Caller, instance_of
from clickpipe.server.parameters import header

_LONGEST_AGENT = 1_000  # characters of a User-Agent to keep
_Result = TypeVar("_Result")


async def observed(
    request: Request,
    who: Caller,
    pipe: str,
    run: Callable[[], Awaitable[Answer]],
    values: Mapping[str, str | list[str]],
) -> Answer:
    """Run a caller's query and record it, in `Server-Timing` as well; `values` are its parameters.

    Raises whatever `run` raises.
    """
    started = time.perf_counter()
    log = instance_of(request).query_log
    call = _call(request, who, pipe, {} if request.method == "POST" else values)
    try:
        answer = await run()
    except ClickpipeError as error:
        seconds = time.perf_counter() - started
        log.call(call, seconds=seconds, status=error.status, result=None, error=redact(error.message))
        raise
    seconds = time.perf_counter() - started
    ran = answer.source in {"", "MISS"}
    log.call(call, seconds=seconds, status=304 if answer.unmodified else 200, result=answer.result, ran=ran)
    state = request.scope["state"]
    times = {
        "auth": started - state["began"],
        "render": answer.rendered,
        "queue": answer.result.queued if ran else 0.0,
        "engine": answer.result.elapsed if ran else 0.0,
        "total": seconds,
    }
    state["headers"]["Server-Timing"] = ", ".join([f"{name};dur={one * 1000:.2f}" for name, one in times.items()])
    return answer


def _call(request: Request, who: Caller, pipe: str, values: Mapping[str, str | list[str]]) -> Call:
    scope = request.scope
    query = redact_query(scope["query_string"].decode("latin-1"))
    client = scope["client"]
    return Call(
        redact(pipe),  # a token may be in any place
        who.token,
        request.method,
        redact(scope["path"]) + (f"?{query}" if query else ""),
        scope["state"]["request_id"],
        _agent(header(request, b"user-agent")[:_LONGEST_AGENT]) or None,
        client[0] if client else None,
        redact_parameters({n: value if isinstance(value, str) else ",".join(value) for n, value in values.items()}),
    )


@lru_cache(maxsize=1_000)
def _agent(text: str) -> str:
    return redact(text, urls=True)


class unless_gone(Generic[_Result]):  # noqa: N801 - called like a function
    """Awaits a coroutine and returns its result, unless the client disconnects first: then it is cancelled.

    It watches for that only once it has to wait: a cached result does not. Raises ClickpipeError 499, and what the
    coroutine raises.
    """

    __slots__ = ("_answer", "_is_gone", "_request")

    def __init__(self, request: Request, answer: Coroutine[Any, Any, _Result]) -> None:
        """Await `answer` for the client of `request`."""
        self._request, self._answer, self._is_gone = request, answer, False

    def __await__(self) -> Generator[Any, Any, _Result]:
        """Run the coroutine."""
        watch = task = None
        try:
            waits_for = self._answer.send(None)
            task = asyncio.current_task()
            watch = asyncio.create_task(self._cancel_when_gone(task))
            while True:
                try:
                    sent = yield waits_for
                except BaseException as error:  # noqa: BLE001 - the coroutine raises it again, or handles it
                    waits_for = self._answer.throw(error)
                else:
                    waits_for = self._answer.send(sent)
        except StopIteration as returned:
            result: _Result = returned.value
            return result
        except asyncio.CancelledError:
            if not self._is_gone or task is None or task.uncancel():
                raise
            message = "The client closed the connection before the response was ready."
            raise ClickpipeError(message, status=499, code="client_closed") from None
        finally:
            if watch is not None:
                watch.cancel()

    async def _cancel_when_gone(self, task: asyncio.Task[Any] | None) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self._is_gone = True
        if task is not None:
            task.cancel()
