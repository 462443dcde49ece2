"""Rules for all routes: trailing slashes, CORS, request ids, one shape for errors."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clickpipe.catalog import without_physical_names
from clickpipe.diagnostics import ClickpipeError, redact
from clickpipe.diagnostics.errors import DOCS
from clickpipe.ingest import is_disk_full
from clickpipe.observe import request_id
from clickpipe.runtime import Instance
from clickpipe.server.context import for_caller
from clickpipe.server.origins import NO_SNIFF, Origins

_LOGGER = logging.getLogger(__name__)

_CLICKHOUSE = ", ".join(
    f"X-ClickHouse-{name}" for name in ("User", "Key", "Database", "Format", "Quota", "SSL-Certificate-Auth")
)
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Content-Encoding, If-None-Match, If-Match, If-Range, "
    f"Range, X-Request-Id, {_CLICKHOUSE}",
    "Access-Control-Max-Age": "86400",
}
_STOPPING = "graceful shutdown"  # uvicorn's message when it stops waiting for a request
_STOPS = JSONResponse(
    {"error": "The server is stopping before it could answer: the request may or may not have been carried out."},
    status_code=503,
    headers={"retry-after": "1"},
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUEST_ID = re.compile(rb"[\w.:-]{1,128}", re.ASCII)


class GeneralRules:
    """ASGI middleware: trailing slashes, OPTIONS, CORS, request ids, metrics and the request log."""

    def __init__(self, app: ASGIApp, instance: Instance, paths: Mapping[object, str]) -> None:
        """Wrap the application; `paths` maps endpoints to the paths of their routes."""
        self._app = app
        self._metrics = instance.metrics
        self._body_seconds = instance.settings.request_body_seconds
        self._paths = paths
        self._logged = {"off": 1000, "errors": 500, "all": 0}[instance.settings.log_requests]
        self._origins = Origins(instance.settings.cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        if len(path) > 1 and path.endswith("/"):
            scope = {**scope, "path": path.rstrip("/") or "/"}
        headers = dict(reversed(scope["headers"]))  # the first one of a repeated name
        given = headers.get(b"x-request-id", b"")
        name = _id_of(given)
        began = time.perf_counter()
        state = scope.setdefault("state", {})
        state.update(request_id=name, began=began, headers={}, given=headers)
        request_id.set(name)
        extra = [*self._origins.headers(headers.get(b"origin", b"")), (b"x-request-id", name.encode()), NO_SNIFF]
        status, begun = 500, False

        async def send_with_headers(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                message["headers"] = [*message.get("headers", []), *extra]
                if state["headers"]:
                    own = {key for key, _ in message["headers"]}
                    more = [(key.lower().encode(), value.encode()) for key, value in state["headers"].items()]
                    message["headers"] += [header for header in more if header[0] not in own]
            await send(message)

        try:
            if scope["method"] == "OPTIONS":
                await Response(status_code=204, headers=_PREFLIGHT)(scope, receive, send_with_headers)
            else:
                if "whole" not in state and (b"content-length" in headers or b"transfer-encoding" in headers):
                    receive = self._in_time(receive, state)
                await self._app(scope, receive, send_with_headers)
        except asyncio.CancelledError as error:
            if begun or _STOPPING not in str(error):
                raise
            await _STOPS(scope, receive, send_with_headers)
        finally:
            self._record(scope, status, time.perf_counter() - began)

    def _in_time(self, receive: Receive, state: Mapping[str, Any]) -> Receive:
        """Return a `receive` that raises ClickpipeError 408 if no more of the body arrives for too long.

        A body may take hours. At its end, ClickpipeError 403 is raised if the token was revoked in the meantime.
        """
        whole = False

        async def received() -> Message:
            nonlocal whole
            if whole:
                return await receive()
            try:
                async with asyncio.timeout(self._body_seconds or None):
                    message = await receive()
            except TimeoutError:
                text = f"No more of the body has arrived for {self._body_seconds:g} seconds."
                raise ClickpipeError(text, status=408, code="body_too_slow") from None
            whole = not message.get("more_body", False)
            if whole and message["type"] == "http.request" and (still := state.get("token_again")) is not None:
                still()
            return message

        return received

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = self._paths.get(scope.get("endpoint"), "other")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.request(method, route, status, seconds)
        if status >= self._logged:
            client = scope.get("client")
            fields = {"status": status, "ms": round(seconds * 1000, 1), "client": client[0] if client else ""}
            level = logging.ERROR if status >= 500 else logging.INFO  # noqa: PLR2004 - our error or the client's
            path = scope["path"] if "token" not in route else route  # the path of these may contain a token
            _LOGGER.log(level, "%s %s", method, path, extra={"fields": fields})


def error_response(error: ClickpipeError) -> JSONResponse:
    """Return the common shape of errors: `{"error", "documentation"}`, or the object of an author's `custom_error`."""
    body: Any = error.payload or {"error": without_physical_names(error.message), "documentation": error.documentation}
    headers = {**({"Retry-After": "1"} if error.status in {429, 503} else {}), **error.headers}
    return JSONResponse(body, status_code=error.status, headers=headers)


async def on_clickpipe_error(request: Request, error: Exception) -> Response:
    """Respond to a caller's mistake."""
    assert isinstance(error, ClickpipeError)  # noqa: S101 - registered for this class only
    return error_response(for_caller(request, error))


async def on_http_error(_request: Request, error: Exception) -> Response:
    """Respond to requests that Starlette refuses: unknown paths and methods, malformed requests."""
    status = getattr(error, "status_code", 500)
    detail = {404: "Not found: there is no such route", 405: "Method not allowed on this route"}.get(
        status, str(getattr(error, "detail", "")) or "The request cannot be read"
    )
    return JSONResponse({"error": detail, "documentation": DOCS + "http-api.md"}, status_code=status)


async def on_gone(_request: Request, _error: Exception) -> Response:
    """Respond to a client that left while its body was read, for the metrics only."""
    return Response(status_code=499)


async def on_bug(request: Request, error: Exception) -> Response:
    """Respond to a bug: the details go to the log, the caller gets the request id. A full disk is none."""
    name = request.scope.get("state", {}).get("request_id", "")
    if is_disk_full(error):
        _LOGGER.error("request %s failed: %s", name, error)
        message = "The disk of the server is full. Please try again when there is space."
        return error_response(ClickpipeError(message, status=503, code="disk_full"))
    _LOGGER.error("request %s failed", name, exc_info=error)
    message = f"Internal error. The server's log has the details under request id {name}."
    return JSONResponse({"error": message, "documentation": DOCS + "README.md"}, status_code=500)


def _id_of(given: bytes) -> str:
    """Return a request's id: the caller's, unless it could not be logged as it is."""
    name = given.decode() if _REQUEST_ID.fullmatch(given) else ""
    return name if name and redact(name) == name else f"{random.getrandbits(128):032x}"
