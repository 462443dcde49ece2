"""What holds for every route: both slash forms, CORS, one shape for errors."""

from __future__ import annotations

import logging
import random
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clickpipe.diagnostics import ClickpipeError
from clickpipe.diagnostics.errors import DOCS

_LOGGER = logging.getLogger(__name__)

_CORS = [
    (b"access-control-allow-origin", b"*"),
    (
        b"access-control-expose-headers",
        b"X-Request-Id, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, "
        b"ETag, Age, X-Cache, Server-Timing, X-DB-Exception-Code",
    ),
]
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Content-Encoding",
    "Access-Control-Max-Age": "86400",
}


class GeneralRules:
    """ASGI middleware: a trailing slash is the same path, OPTIONS is answered, CORS is open, requests have ids."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        if len(path) > 1 and path.endswith("/"):
            scope = {**scope, "path": path.rstrip("/") or "/"}
        request_id = f"{random.getrandbits(128):032x}"
        scope.setdefault("state", {}).update(request_id=request_id, began=time.perf_counter(), headers={})
        extra = [*_CORS, (b"x-request-id", request_id.encode())]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = scope["state"].get("headers", {})
                given = [(name.lower().encode(), value.encode()) for name, value in told.items()]
                own = {name for name, _ in message.get("headers", [])}
                message["headers"] = [*message.get("headers", []), *extra, *(h for h in given if h[0] not in own)]
            await send(message)

        if scope["method"] == "OPTIONS":
            await Response(status_code=204, headers=_PREFLIGHT)(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)


def error_response(error: ClickpipeError) -> JSONResponse:
    """Return the one shape of errors: `{"error", "documentation"}` (an author's `custom_error` object as it is)."""
    body: Any = error.payload or {"error": error.message, "documentation": error.documentation}
    headers = {**({"Retry-After": "1"} if error.status in {429, 503} else {}), **error.headers}
    return JSONResponse(body, status_code=error.status, headers=headers)


async def on_clickpipe_error(_request: Request, error: Exception) -> Response:
    """Answer a caller's mistake."""
    assert isinstance(error, ClickpipeError)  # noqa: S101 - registered for this class only
    return error_response(error)


async def on_http_error(_request: Request, error: Exception) -> Response:
    """Answer what Starlette refuses: unknown paths and methods, broken requests."""
    status = getattr(error, "status_code", 500)
    detail = {404: "Not found: there is no such route", 405: "Method not allowed on this route"}.get(
        status, str(getattr(error, "detail", "")) or "The request cannot be read"
    )
    return JSONResponse({"error": detail, "documentation": DOCS + "http-api.md"}, status_code=status)


async def on_bug(request: Request, error: Exception) -> Response:
    """Answer a bug of ours: the log tells it, the caller gets a number to ask about."""
    request_id = request.scope.get("state", {}).get("request_id", "")
    _LOGGER.error("request %s failed", request_id, exc_info=error)
    message = f"Internal error. The server's log has the details under request id {request_id}."
    return JSONResponse({"error": message, "documentation": DOCS + "README.md"}, status_code=500)
