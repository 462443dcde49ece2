"""Secrets: `/v0/variables`, as published clients call them. No route returns a value."""

from __future__ import annotations

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from clickpipe.auth import ADMIN
from clickpipe.catalog import Secret
from clickpipe.diagnostics import ClickpipeError
from clickpipe.server.context import Caller, caller, instance_of
from clickpipe.server.parameters import body_values, one, query_values, read_body

_NAME = re.compile(r"\w{1,128}", re.ASCII)
_MOST_BYTES = 100_000


async def list_variables(request: Request) -> JSONResponse:
    """Answer `GET /v0/variables`: names and times."""
    who = _admin(request)
    return JSONResponse({"variables": [_shown(s) for s in instance_of(request).catalog.secrets.all(who.workspace.id)]})


async def get_variable(request: Request) -> JSONResponse:
    """Answer `GET /v0/variables/<name>`."""
    who = _admin(request)
    return JSONResponse(_shown(_found(request, who, request.path_params["name"], "Not found")))


async def post_variable(request: Request) -> JSONResponse:
    """Answer `POST /v0/variables`: create or replace one; a form or JSON with `name` and `value`."""
    who = _admin(request)
    values = query_values(request) | body_values(await _body(request), request.headers.get("content-type", ""))
    name = one(values, "name")
    if not _NAME.fullmatch(name):
        message = f"'{name[:50]}' is not a valid name for a secret: use letters, digits and _, as in tb_secret('name')."
        raise ClickpipeError(message, code="bad_name")
    _put(request, who, name, values)
    return JSONResponse(_shown(_found(request, who, name, "")))


async def put_variable(request: Request) -> JSONResponse:
    """Answer `PUT /v0/variables/<name>`: set a new value."""
    who = _admin(request)
    name = request.path_params["name"]
    _found(request, who, name, "Variable not found")
    body = await _body(request)
    _put(request, who, name, query_values(request) | body_values(body, request.headers.get("content-type", "")))
    return JSONResponse(_shown(_found(request, who, name, "")))


async def delete_variable(request: Request) -> JSONResponse:
    """Answer `DELETE /v0/variables/<name>`."""
    who = _admin(request)
    _found(request, who, request.path_params["name"], "Variable not found")
    instance_of(request).catalog.secrets.delete(who.workspace.id, request.path_params["name"])
    return JSONResponse({"ok": True})


def _admin(request: Request) -> Caller:
    who = caller(request)
    who.require(ADMIN)
    return who


async def _body(request: Request) -> bytes:
    return await read_body(request, _MOST_BYTES)


def _put(request: Request, who: Caller, name: str, values: dict[str, Any]) -> None:
    if "value" not in values:
        message = "The parameter 'value' is missing: the secret's new value."
        raise ClickpipeError(message, code="missing_value")
    instance_of(request).catalog.secrets.put(who.workspace.id, name, one(values, "value"))


def _found(request: Request, who: Caller, name: str, missing: str) -> Secret:
    for secret in instance_of(request).catalog.secrets.all(who.workspace.id):
        if secret.name == name:
            return secret
    raise ClickpipeError(missing, status=404, code="not_found")


def _shown(secret: Secret) -> dict[str, str]:
    return {
        "name": secret.name,
        "type": "secret",
        "created_at": secret.created_at,
        "updated_at": secret.updated_at,
    }
