"""Health, metrics and other small routes."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

import clickpipe
from clickpipe.auth import forbidden
from clickpipe.concurrency import in_thread
from clickpipe.observe import CONTENT_TYPE
from clickpipe.server.context import caller, instance_of
from clickpipe.server.shapes import text_response


async def get_health(_request: Request) -> JSONResponse:
    """Answer `GET /v0/health` without a token."""
    return JSONResponse({"status": "ok", "version": clickpipe.__version__})


async def get_ready(request: Request) -> JSONResponse:
    """Answer `GET /v0/ready` without a token: 200 if the server can handle requests, else 503 with the reason."""
    instance = instance_of(request)
    reason = await in_thread(instance.not_ready)
    status: dict[str, Any] = {"status": "not ready", "error": reason} if reason else {"status": "ready"}
    if problems := await in_thread(instance.problems):
        status["problems"] = problems
    return JSONResponse(status, status_code=503 if reason else 200)


async def get_metrics(request: Request) -> Response:
    """Answer `GET /metrics` for Prometheus."""
    instance = instance_of(request)
    if instance.settings.metrics_access != "open":
        who = caller(request)
        who.require("WORKSPACE:READ_ALL")
        if who.workspace is not instance.default:
            message = "Metrics cover the whole server: they need a token of its default workspace."
            raise forbidden(message)
    return Response(await in_thread(instance.metrics.text), media_type=CONTENT_TYPE)


async def get_version(_request: Request) -> Response:
    """Answer `GET /version` without a token."""
    return text_response(clickpipe.__version__)


async def list_regions(_request: Request) -> JSONResponse:
    """Answer `GET /v0/regions`, which published clients call without a token: there are no regions."""
    return JSONResponse({"regions": []})


async def get_example(request: Request) -> Response:
    """Answer `GET /examples/query.http`: the URL of the described call; nothing is checked."""
    given = request.query_params
    rest = {name: value for name, value in given.items() if name not in {"pipe", "format", "from"} and value}
    name, ending = given.get("pipe", ""), given.get("format") or "json"
    path = f"/v0/pipes/{quote(name, safe='')}.{quote(ending, safe='')}" if name else "/v0/sql"
    return text_response(f"{str(request.base_url).rstrip('/')}{path}" + (f"?{urlencode(rest)}" if rest else ""))
