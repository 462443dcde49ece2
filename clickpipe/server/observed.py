"""Queries of callers, told of: how long each took, what it read, how it ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from functools import lru_cache
from typing import Any, TypeVar

from starlette.requests import Request

from clickpipe.diagnostics import ClickpipeError, redact, redact_parameters, redact_query
from clickpipe.engine import EngineError
from clickpipe.observe import Call
from clickpipe.query import Answer, QueryOptions, QueryRunner, failure
from clickpipe.server.context import Caller, instance_of
from clickpipe.server.parameters import header
from clickpipe.server.threads import in_thread

_LONGEST_AGENT = 1_000  # characters of a User-Agent that are kept
_Started = TypeVar("_Started")


async def observed(
    request: Request,
    who: Caller,
    pipe: str,
    run: Callable[[], Awaitable[Answer]],
    values: Mapping[str, str | list[str]],
) -> Answer:
    """Run a caller's query and tell of it, also in `Server-Timing`; `values` are its parameters.

    Raises what `run` does.
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
        "render": state.get("render", 0.0),
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
        pipe,
        who.token,
        request.method,
        scope["path"] + (f"?{query}" if query else ""),
        scope["state"]["request_id"],
        _agent(header(request, b"user-agent")[:_LONGEST_AGENT]) or None,
        client[0] if client else None,
        redact_parameters({n: value if isinstance(value, str) else ",".join(value) for n, value in values.items()}),
    )


@lru_cache(maxsize=1_000)
def _agent(text: str) -> str:
    return redact(text, urls=True)


async def rendered(request: Request, start: Awaitable[_Started]) -> _Started:
    """Start a query; the time until then is that of rendering its SQL."""
    began = time.perf_counter()
    started = await start
    request.scope["state"]["render"] = time.perf_counter() - began
    return started


async def run_sql(request: Request, who: Caller, sql: str, options: QueryOptions, queries: QueryRunner) -> Answer:
    """Run a caller's SELECT. Raises ClickpipeError."""
    start = in_thread(queries.sql, sql, options, who.may_read)
    try:
        return await unless_gone(request, await rendered(request, start))
    except EngineError as error:
        raise failure(error) from error


async def unless_gone(request: Request, answer: Future[_Started]) -> _Started:
    """Wait for an answer; end its query when the client goes away first. Raises ClickpipeError 499 then."""
    waiting = asyncio.wrap_future(answer)
    gone = asyncio.ensure_future(_gone(request))
    try:
        both: set[asyncio.Future[Any]] = {waiting, gone}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            message = "The client closed the connection before there was an answer."
            raise ClickpipeError(message, status=499, code="client_closed")
        return waiting.result()
    finally:
        gone.cancel()
        if not waiting.done():
            waiting.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
