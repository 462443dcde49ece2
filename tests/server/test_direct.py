"""The short way to a route answers as the long one does, whatever goes wrong on it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from clickpipe.diagnostics import ClickpipeError, UnknownResource
from clickpipe.server.direct import Direct
from clickpipe.server.middleware import on_bug, on_clickpipe_error, on_http_error


def _raises(error: Exception) -> Any:
    async def endpoint(_request: Request) -> Response:
        raise error

    return endpoint


async def shown(request: Request) -> Response:
    return JSONResponse([request.path_params, request.url.path, request.app.state.name, request.method])


async def streamed(_request: Request) -> Response:
    def parts() -> Iterator[bytes]:
        yield b"a part"
        raise ClickpipeError("too late to be told")

    return StreamingResponse(parts())


ROUTES = [
    Route("/plain", shown, methods=["GET"]),
    Route("/plain", shown, methods=["POST"]),
    Route("/calls/openapi.json", shown, methods=["GET"]),
    Route("/calls/{name}.{format}", shown, methods=["GET"]),
    Route("/rare/{name}", shown, methods=["GET"]),
    Route("/refused", _raises(ClickpipeError("no", status=429, code="x")), methods=["GET"]),
    Route("/unknown", _raises(UnknownResource("no", "name", [], status=404, code="x")), methods=["GET"]),
    Route("/http", _raises(HTTPException(418, "teapot")), methods=["GET"]),
    Route("/bug", _raises(ZeroDivisionError()), methods=["GET"]),
    Route("/streamed", streamed, methods=["GET"]),
]


def _asked(app: Any, method: str, path: str) -> httpx.Response:
    async def stated(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "state": {"given": {}, "request_id": "r"}}, receive, send)

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(stated, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path)

    return asyncio.run(send())


def _ways() -> tuple[Any, Any]:
    errors: Any = {ClickpipeError: on_clickpipe_error, HTTPException: on_http_error, Exception: on_bug}
    app = Starlette(routes=ROUTES, exception_handlers=errors)
    app.router.redirect_slashes = False
    app.state.name = "app"
    plain, calls = ([r for r in ROUTES if "{" not in r.path], [r for r in ROUTES if "/calls/{" in r.path])
    return app, Direct(app, plain, calls)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        *(
            "/plain",
            "/plain/",
            "/calls/openapi.json",
            "/calls/a.b.json",
            "/calls/a%2Fb.csv",
            "/calls/.json",
            "/calls/a/b.c",
        ),
        *("/calls/", "/rare/x", "/refused", "/unknown", "/http", "/bug", "/absent", "/", "//plain"),
    ],
)
def test_both_ways_answer_the_same(method: str, path: str) -> None:
    long, short = (_asked(way, method, path) for way in _ways())
    assert (short.status_code, short.content) == (long.status_code, long.content)
    assert dict(short.headers) == dict(long.headers)


def test_an_error_in_the_middle_of_an_answer_ends_it() -> None:
    for way in _ways():
        assert _asked(way, "GET", "/streamed").content == b"a part"
