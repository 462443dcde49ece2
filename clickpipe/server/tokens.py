"""The tokens API: `/v0/tokens`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse

from clickpipe.auth import (
    ADMIN,
    ADMIN_TOKEN,
    Grant,
    Granted,
    allows,
    collect,
    forbidden,
    grant_of_object,
    grant_of_text,
    is_jwt,
    limits_of,
    require_known,
    scope_objects,
    uncovered,
)
from clickpipe.catalog import Catalog, Token, new_token_value
from clickpipe.concurrency import in_thread
from clickpipe.diagnostics import ClickpipeError
from clickpipe.query import compose_condition
from clickpipe.server.context import Caller, caller, instance_of
from clickpipe.server.parameters import read_body

_MOST_BYTES = 1_000_000


async def list_tokens(request: Request) -> JSONResponse:
    """Answer `GET /v0/tokens` for a token with the scope TOKENS."""
    who = caller(request)
    who.require("TOKENS")
    return await in_thread(_listed, who, instance_of(request).catalog)


def _listed(who: Caller, catalog: Catalog) -> JSONResponse:
    found = catalog.tokens.all(who.workspace.id)
    return JSONResponse({"tokens": [_shown(t) for t in found if _may_see(who, t)]})


async def get_token(request: Request) -> JSONResponse:
    """Answer `GET /v0/tokens/<name>`: a token may see itself."""
    who = caller(request)
    found = _named(request, who)
    if found is None or (found.id != who.token.id and not (allows(who.token, "TOKENS") and _may_see(who, found))):
        message = "Token has not enough permissions to get information about this token"
        raise forbidden(message)
    return JSONResponse(_shown(found))


async def post_token(request: Request) -> JSONResponse:
    """Answer `POST /v0/tokens`: create a static token or, with `expiration_time`, a signed one (JWT)."""
    who = caller(request)
    who.require("TOKENS")
    body = await _body(request)
    name = str(request.query_params.get("name") or body.get("name") or "")
    if not name:
        message = "The query parameter 'name' is missing: the token's name."
        raise ClickpipeError(message, code="missing_name")
    limits = limits_of(body.get("limits") or {})
    expiration = request.query_params.get("expiration_time") or body.get("expiration_time")
    if expiration is not None:
        scopes = body.get("scopes")
        if not isinstance(scopes, list) or not scopes:
            message = 'A JWT needs a body such as {"scopes": [{"type": "PIPES:READ", "resource": "top_pages"}]}.'
            raise ClickpipeError(message, code="missing_scopes")
        grants = [grant_of_object(given) for given in scopes]
        await _check_filters(request, who, grants)
        index = instance_of(request).tokens
        signed = index.sign(who.workspace.id, name, _seconds(expiration), scopes, body.get("limits") or {})
        return JSONResponse({"token": signed, **_warnings(who, grants)})
    grants, granted = await _granted(request, who, body)
    catalog = instance_of(request).catalog
    if catalog.tokens.named(who.workspace.id, name) is not None:
        message = f"A token with the name '{name}' exists. PUT /v0/tokens/{name} changes its scopes."
        raise ClickpipeError(message, status=409, code="exists")
    made = _put(request, who, name, granted, limits, _expiry(request, body), "api")
    return JSONResponse({**_shown(made), **_warnings(who, grants)})


async def put_token(request: Request) -> JSONResponse:
    """Answer `PUT /v0/tokens/<name>`: replace its scopes."""
    who = caller(request)
    found = _managed(request, who)
    body = await _body(request)
    if found.origin == "default":
        message = f"The scopes of '{found.name}' cannot be changed."
        raise ClickpipeError(message, status=409, code="default_token")
    grants, granted = await _granted(request, who, body)
    expires_at = _expiry(request, body) if _says_expiry(request, body) else found.expires_at
    limits = limits_of(body.get("limits") or {}) if "limits" in body else found.limits
    changed = _put(request, who, found.name, granted, limits, expires_at, found.origin)
    return JSONResponse({**_shown(changed), **_warnings(who, grants)})


async def delete_token(request: Request) -> JSONResponse:
    """Answer `DELETE /v0/tokens/<name>`; a JWT instead of a name is revoked."""
    who = caller(request)
    instance, given = instance_of(request), request.path_params["name"]
    if is_jwt(given):
        who.require("TOKENS")
        if instance.tokens.find(given).workspace_id != who.workspace.id:
            raise _unknown(given)
        instance.tokens.revoke(given)
        return JSONResponse({"ok": True})
    found = _managed(request, who)
    if found.origin == "default":
        message = f"'{found.name}' cannot be removed. POST /v0/tokens/{found.id}/refresh gives it a new value."
        raise ClickpipeError(message, status=409, code="default_token")
    instance.catalog.tokens.delete(found.id)
    instance.tokens.refresh_one(found.id)
    return JSONResponse({"ok": True})


async def refresh_token(request: Request) -> JSONResponse:
    """Answer `POST /v0/tokens/<name>/refresh`: set a new value; the old one is refused from now on."""
    who = caller(request)
    found = _managed(request, who)
    instance = instance_of(request)
    if found.name == ADMIN_TOKEN and instance.settings.admin_token:
        message = "The admin token comes from the setting admin_token: change it there, and restart."
        raise ClickpipeError(message, status=409, code="set_elsewhere")
    instance.catalog.tokens.set_value(found.id, new_token_value())
    instance.tokens.refresh_one(found.id)
    changed = instance.catalog.tokens.get(found.id)
    if changed is None:
        raise _unknown(found.name)
    return JSONResponse(_shown(changed))


def _put(
    request: Request,
    who: Caller,
    name: str,
    granted: Granted,
    limits: Mapping[str, int],
    expires_at: float,
    origin: str,
) -> Token:
    instance = instance_of(request)
    token = instance.catalog.tokens.put(
        who.workspace.id,
        name,
        granted.scopes,
        origin=origin,
        filters=granted.filters,
        fixed_params=granted.fixed_params,
        limits=limits,
        expires_at=expires_at,
    )
    instance.tokens.refresh_one(token.id)
    return token


def _named(request: Request, who: Caller) -> Token | None:
    instance, given = instance_of(request), request.path_params["name"]
    found = instance.catalog.tokens.of_workspace(who.workspace.id, given) or instance.tokens.stored(given)
    return found if found is not None and found.workspace_id == who.workspace.id else None


def _managed(request: Request, who: Caller) -> Token:
    who.require("TOKENS")
    found = _named(request, who)
    if found is None:
        raise _unknown(request.path_params["name"])
    if not _may_see(who, found):
        message = f"Only a token with the scope ADMIN can manage '{found.name}'."
        raise forbidden(message)
    return found


def _may_see(who: Caller, token: Token) -> bool:
    """Return whether a caller may see a token's value, which must not give it ADMIN rights that it lacks."""
    return ADMIN not in token.scopes or allows(who.token, ADMIN)


async def _granted(request: Request, who: Caller, body: dict[str, Any]) -> tuple[list[Grant], Granted]:
    grants: list[Grant] = [grant_of_text(text) for text in request.query_params.getlist("scope")]
    listed = body.get("scopes") or []
    if not isinstance(listed, list):
        message = "'scopes' must be a list."
        raise ClickpipeError(message, code="bad_scope")
    grants += [grant_of_object(given) for given in listed]
    if not grants:
        message = "The query parameter 'scope' is missing: `scope=PIPES:READ:top_pages`, repeated for each scope."
        raise ClickpipeError(message, code="missing_scopes")
    if any(g.type == ADMIN for g in grants):
        who.require(ADMIN)
    await _check_filters(request, who, grants)
    return grants, collect(grants)


def _warnings(who: Caller, grants: Sequence[Grant]) -> dict[str, list[str]]:
    """Return warnings about a token that can read more than its filters suggest; {} if there are none."""
    found = uncovered(grants, who.workspace.live.compiled) if who.workspace.live else []
    return {"warnings": found} if found else {}


async def _check_filters(request: Request, who: Caller, grants: Sequence[Grant]) -> None:
    """Raise ClickpipeError 400 for a filter that is not a valid condition on its data source."""
    live, engine = who.workspace.live, instance_of(request).engine
    projects = [found.compiled for found in (live, who.workspace.deployments.staging()) if found is not None]
    require_known(grants, projects)
    for grant in grants:
        if grant.filter and live is not None and grant.resource in live.compiled.data_sources:
            await in_thread(compose_condition, engine, live, grant.filter)
            sql = f"SELECT 1 FROM {grant.resource} WHERE ({grant.filter}\n) LIMIT 0"
            await in_thread(who.workspace.sql, sql)


async def _body(request: Request) -> dict[str, Any]:
    body = (await read_body(request, _MOST_BYTES)).strip()
    if not body:
        return {}
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        message = 'The body must be a JSON object like {"scopes": [{"type": "PIPES:READ", "resource": "top_pages"}]}.'
        raise ClickpipeError(message, code="broken_body") from None


def _says_expiry(request: Request, body: dict[str, Any]) -> bool:
    return "expires_at" in request.query_params or "expires_at" in body


def _expiry(request: Request, body: dict[str, Any]) -> float:
    given = request.query_params.get("expires_at", body.get("expires_at"))
    if given in (None, "", "0", 0):
        return 0.0
    found = _seconds(given)
    if found <= time.time():
        message = "'expires_at' is in the past: give it in seconds since 1970, such as 1790000000."
        raise ClickpipeError(message, code="bad_expiration")
    return found


def _seconds(given: Any) -> float:
    try:
        found = float(given)
    except (TypeError, ValueError):
        found = -1.0
    if not 0 < found < 1e11:  # noqa: PLR2004 - milliseconds since 1970 are larger
        message = f"'{str(given)[:50]}' is not a time: give it in seconds since 1970, such as 1790000000."
        raise ClickpipeError(message, code="bad_expiration")
    return found


def _shown(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "token": token.value,
        "origin": token.origin,
        "created_at": token.created_at,
        **({"expires_at": int(token.expires_at)} if token.expires_at else {}),
        **({"limits": token.limits} if token.limits else {}),
        "scopes": scope_objects(token),
    }


def _unknown(name: str) -> ClickpipeError:
    message = f"The token '{name if not is_jwt(name) else name[:10] + '…'}' does not exist"
    return ClickpipeError(message, status=404, code="not_found")
