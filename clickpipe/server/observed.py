"""Queries of callers, told of: how long each took, what it read, how it ended."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from urllib.parse import urlencode

from starlette.requests import Request

from clickpipe.diagnostics import ClickpipeError
from clickpipe.observe import Call
from clickpipe.query import Answer
from clickpipe.server.context import Caller, instance_of

_HIDDEN = {"token"}


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
    call = _call(request, who, pipe, values if request.method == "GET" else {})
    try:
        answer = await run()
    except ClickpipeError as error:
        seconds = time.perf_counter() - started
        log.call(call, seconds=seconds, status=error.status, result=None, error=error.message)
        raise
    seconds = time.perf_counter() - started
    result = answer.result if answer.source in {"", "MISS"} else replace(answer.result, rows_read=0, bytes_read=0)
    log.call(call, seconds=seconds, status=304 if answer.unmodified else 200, result=result)
    state = request.scope["state"]
    engine = 0.0 if answer.source in {"HIT", "SHARED"} else result.elapsed
    times = {"auth": started - state["began"], "engine": engine, "wait": max(0.0, seconds - engine)}
    state["headers"]["Server-Timing"] = ", ".join(f"{name};dur={t * 1000:.2f}" for name, t in times.items())
    return answer


def _call(request: Request, who: Caller, pipe: str, values: Mapping[str, str | list[str]]) -> Call:
    query = [(name, value) for name, value in request.query_params.multi_items() if name not in _HIDDEN]
    return Call(
        pipe,
        who.token,
        request.method,
        request.url.path + (f"?{urlencode(query)}" if query else ""),
        request.scope["state"]["request_id"],
        request.headers.get("user-agent"),
        request.client.host if request.client else None,
        {name: value if isinstance(value, str) else ",".join(value) for name, value in values.items()},
    )
