"""The workspace of a token, as published clients ask for it before they do anything."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from clickpipe.auth import ADMIN, allows
from clickpipe.server.context import Caller, caller


async def get_workspace(request: Request) -> JSONResponse:
    """Answer `GET /v0/workspace` and `GET /v1/workspace`."""
    return JSONResponse(_workspace(caller(request)))


async def list_workspaces(request: Request) -> JSONResponse:
    """Answer `GET /v0/user/workspaces` and `GET /v1/user/workspaces`: the one that the token belongs to."""
    who = caller(request)
    token = who.token.value if allows(who.token, ADMIN) else ""
    shown = {**_workspace(who), "token": token, "role": "admin" if token else "viewer", "plan": "self-hosted"}
    shown |= {"current": True, "members": [], "organization": {"id": "", "name": ""}}
    return JSONResponse({"id": who.workspace.id, "organization_id": "", "workspaces": [shown]})


async def get_auth(request: Request) -> JSONResponse:
    """Answer `GET /v0/auth`: the token is one."""
    who = caller(request)
    return JSONResponse({"is_valid": True, "is_user": allows(who.token, ADMIN)})


def _workspace(who: Caller) -> dict[str, Any]:
    return {
        "id": who.workspace.id,
        "name": who.workspace.name,
        "user_id": who.token.id,
        "user_email": "",
        "scope": "user" if allows(who.token, ADMIN) else "token",
        "main": None,
        "is_branch": False,
        "limits": {},
    }
