"""A fast path for the most frequently called routes, past Starlette's layers, with the same responses and errors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from clickpipe.diagnostics import ClickpipeError
from clickpipe.server.middleware import on_bug, on_clickpipe_error, on_gone, on_http_error


class Direct:
    """ASGI application that finds a route by method and path in one step.

    Each of Starlette's layers wraps `send` again: without them, a small request takes a quarter less time. Anything
    that is not found here (other methods, unknown paths, rarely called routes) is left to the application.
    """

    def __init__(self, app: Starlette, plain: Iterable[Route], patterns: Iterable[Route]) -> None:
        """Serve `plain` routes, without parameters, and those of `patterns`; leave all others to `app`."""
        self._app = app
        self._plain = {(method, route.path): route.endpoint for route in plain for method in route.methods or ()}
        self._patterns = tuple((route.methods or set(), route.path_regex, route.endpoint) for route in patterns)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        endpoint = self._found(scope) if scope["type"] == "http" else None
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        started = False

        async def sender(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        scope["app"], scope["endpoint"] = self._app, endpoint
        request = Request(scope, receive)
        try:
            response = await endpoint(request)
            await response(scope, receive, sender)
        except Exception as error:
            refused = None if started else await _refused(request, error)
            if refused is not None:
                await refused(scope, receive, send)
                return
            response = await on_bug(request, error)
            if not started:
                await response(scope, receive, send)
            raise

    def _found(self, scope: Scope) -> Any:
        method, path = scope["method"], scope["path"]
        found = self._plain.get((method, path))
        if found is None:
            for methods, pattern, endpoint in self._patterns:
                if method in methods and (match := pattern.match(path)):
                    scope["path_params"] = match.groupdict()
                    return endpoint
        return found


async def _refused(request: Request, error: Exception) -> Any:
    """Return the response to a caller's mistake; None for a bug."""
    if isinstance(error, ClickpipeError):
        return await on_clickpipe_error(request, error)
    if isinstance(error, ClientDisconnect):
        return await on_gone(request, error)
    return await on_http_error(request, error) if isinstance(error, HTTPException) else None
